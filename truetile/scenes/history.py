"""What ComfyUI's queue and history say about a prompt."""

from __future__ import annotations

from typing import Any

from ..watch.client import Client

TAG = "truetile"  # in the prompt's extra_data


def find(client: Client, tag: str) -> str | None:
    """The prompt with this tag that has ended well, runs or waits; None when it is to be queued."""
    for name, entry in (client.get("/history") or {}).items():
        done = (entry.get("status") or {}).get("status_str") == "success"
        if done and _tag(entry.get("prompt")) == tag:
            return name
    queue = client.get("/queue")
    for item in [*queue.get("queue_running", []), *queue.get("queue_pending", [])]:
        if _tag(item) == tag:
            return item[1]
    return None


def waits(client: Client, prompt_id: str) -> bool:
    """Whether the prompt runs or waits in the queue."""
    queue = client.get("/queue")
    items = [*queue.get("queue_running", []), *queue.get("queue_pending", [])]
    return any(item[1] == prompt_id for item in items)


def ended(client: Client, prompt_id: str) -> dict[str, Any] | None:
    """The history entry, once the prompt has ended in whatever way."""
    entry = (client.get(f"/history/{prompt_id}") or {}).get(prompt_id)
    return entry if entry and (entry.get("status") or {}).get("status_str") else None


def result(entry: dict[str, Any], nodes: int) -> dict[str, Any]:
    """Status, seconds and what of it was real, from a history entry.

    kind: "cached" when every output came from the cache (the time says nothing then), "real" when
    none did, else "mixed".
    """
    messages = {name: detail for name, detail in entry["status"].get("messages", [])}
    cached = {str(node) for node in messages.get("execution_cached", {}).get("nodes", [])}
    outputs = [
        {"node": node, "cached": node in cached, "files": _files(found)}
        for node, found in (entry.get("outputs") or {}).items()
    ]
    states = {output["cached"] for output in outputs} or {len(cached) >= nodes}
    good = entry["status"]["status_str"] == "success"
    return {
        "status": "success" if good else "error",
        "message": _message(messages),
        "seconds": _seconds(messages),
        "kind": "mixed" if len(states) > 1 else "cached" if states == {True} else "real",
        "nodes": nodes,
        "cached_nodes": len(cached),
        "outputs": outputs,
    }


def _tag(item: Any) -> str | None:
    try:
        return item[3].get(TAG)
    except (TypeError, IndexError, AttributeError):
        return None


def _seconds(messages: dict[str, dict]) -> float | None:
    """On the server's clock, without the time in the queue."""
    ends = ("execution_success", "execution_error", "execution_interrupted")
    end = next((messages[name]["timestamp"] for name in ends if name in messages), None)
    start = messages.get("execution_start", {}).get("timestamp")
    return (end - start) / 1000 if None not in (start, end) else None


def _message(messages: dict[str, dict]) -> str:
    if error := messages.get("execution_error"):
        text = f"{error['exception_type']}: {error['exception_message']}".strip()
        return f"node {error['node_id']} ({error['node_type']}): {text}"
    return "interrupted" if "execution_interrupted" in messages else ""


def _files(output: dict[str, Any]) -> list[str]:
    found = [entry for entries in output.values() if isinstance(entries, list) for entry in entries]
    names = [entry for entry in found if isinstance(entry, dict) and "filename" in entry]
    return ["/".join(filter(None, (e.get("subfolder"), e["filename"]))) for e in names]
