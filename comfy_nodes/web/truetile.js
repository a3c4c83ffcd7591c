// What ComfyUI's editor loads: adds the panel where the editor has a sidebar for extensions.
import { app } from "../../scripts/app.js";
import { api } from "../../scripts/api.js";
import { Panel } from "./panel/panel.js";

app.registerExtension({
  name: "TrueTile.Panel",
  setup() {
    // An older editor has no sidebar that takes tabs: the nodes work there without the panel.
    if (typeof app.extensionManager?.registerSidebarTab !== "function") return;
    let panel = null;
    app.extensionManager.registerSidebarTab({
      id: "truetile",
      icon: "pi pi-microchip",
      title: "TrueTile",
      tooltip: "TrueTile: memory, running decode, verdicts",
      type: "custom",
      // The editor calls this again for the same element whenever it draws its sidebar anew.
      render(element) {
        if (panel?.root.parentElement === element) return;
        panel?.close();
        panel = new Panel(app, api);
        element.style.height = "100%";
        element.replaceChildren(panel.root);
        panel.open();
      },
      destroy() {
        panel?.close();
        panel = null;
      },
    });
  },
});
