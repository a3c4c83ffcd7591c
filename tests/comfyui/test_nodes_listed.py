"""What ComfyUI knows about the pack once it has started."""

import urllib.request

import pytest
from server import PACK_NAME

NODES = ("TrueTileVAEDecode", "TrueTileVAEEncode", "TrueTileVAE")


@pytest.mark.parametrize("node", NODES)
def test_node_is_listed_with_tooltips(server, node):
    info = server.get(f"/object_info/{node}")[node]
    assert info["category"] == "TrueTile"
    assert info["description"]
    inputs = {**info["input"]["required"], **info["input"].get("optional", {})}
    without = [name for name, entry in inputs.items() if not entry[-1].get("tooltip")]
    assert not without, f"no tooltip: {without}"


@pytest.mark.parametrize("node", NODES)
def test_sizes_are_those_of_the_stock_tiled_node(server, node):
    ours = server.get(f"/object_info/{node}")[node]["input"]["required"]
    core = server.get("/object_info/VAEDecodeTiled")["VAEDecodeTiled"]["input"]["required"]
    for name in ("tile_size", "overlap", "temporal_size", "temporal_overlap"):
        for limit in ("default", "min", "max", "step"):
            assert ours[name][1][limit] == core[name][1][limit], (name, limit)


def test_outputs_are_those_of_the_stock_nodes_and_a_report(server):
    for ours, core in (("TrueTileVAEDecode", "VAEDecode"), ("TrueTileVAEEncode", "VAEEncode")):
        assert server.get(f"/object_info/{ours}")[ours]["output"] == [
            *server.get(f"/object_info/{core}")[core]["output"],
            "STRING",
        ]
    assert server.get("/object_info/TrueTileVAE")["TrueTileVAE"]["output"] == ["VAE"]


@pytest.mark.parametrize("node", NODES)
def test_help_page_is_served_and_names_every_input(server, node):
    url = f"{server.address}/extensions/{PACK_NAME}/docs/{node}.md"
    page = urllib.request.urlopen(url, timeout=30).read().decode()
    for name in server.get(f"/object_info/{node}")[node]["input"]["required"]:
        assert f"`{name}`" in page, f"{node}.md does not explain {name}"


def test_the_log_holds_no_failed_import(server):
    server.get("/object_info/TrueTileVAE")
    assert "IMPORT FAILED" not in server.log
    assert "Cannot import" not in server.log


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_translations_are_served_for_every_input_and_output(server, language):
    ours = {k: v for k, v in server.get("/object_info").items() if v["category"] == "TrueTile"}
    assert set(NODES) < set(ours)
    served = server.get("/i18n")[language]["nodeDefs"]
    for name, info in ours.items():
        inputs = {**info["input"]["required"], **info["input"].get("optional", {})}
        assert set(served[name]["inputs"]) == set(inputs), name
        assert list(served[name]["outputs"]) == [str(i) for i in range(len(info["output"]))], name
        assert served[name]["display_name"].startswith("TrueTile ")
