// Converts the workflow in the editor. The result opens beside it: the original stays as it is.
import { post } from "./feed.js";

/** What was done, as lines. Throws an Error with the server's words. */
export async function convertWorkflow(app, api, checkpoints) {
  const { workflow } = await app.graphToPrompt();
  const done = await post(api, "/truetile/convert", { workflow, checkpoints });
  const notes = done.notes.map((note) => `note: ${note}`);
  if (!done.changed) return ["Nothing to convert here.", ...notes].join("\n");
  const name = app.extensionManager.workflow?.activeWorkflow?.filename ?? "workflow";
  await app.loadGraphData(done.workflow, true, true, `${name} (TrueTile)`);
  return [...done.steps.map((step) => step.line), ...notes].join("\n");
}
