"""nft, whose answers need not be as Teal expects."""

import shlex
import subprocess
from pathlib import Path

import pytest

from teal_host.ground.errors import CannotRun
from teal_host.ground.paths import AppPaths
from teal_host.ground.run import Ran
from teal_host.supervisors import nftables, port_limits


@pytest.fixture
def nft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "nft"
    program.touch(0o755)
    monkeypatch.setattr(nftables, "NFT", str(program))
    return program


def test_table_is_not_loaded_where_nft_answers_with_no_json(nft: Path) -> None:
    nft.write_text("#!/bin/sh\necho 'netlink: a warning'\necho '{\"nftables\": []}'\n")
    assert not nftables.is_loaded("teal-shop", 'comment "teal 1"')


def test_guard_is_not_in_effect_where_nft_does_not_end(nft: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(*ignored: object) -> Ran:
        raise CannotRun("nft did not end within 8 s")

    paths = AppPaths(nft.parent, "shop")
    paths.port_rules.parent.mkdir(parents=True)
    paths.port_rules.write_text('comment "teal 1"')
    monkeypatch.setattr(nftables, "run", hang)
    assert not port_limits.are_in_effect(paths)


@pytest.mark.hint("on the server: nft delete table inet {}")
def test_removal_says_what_stays_when_nft_refuses(nft: Path) -> None:
    table = nft.with_name("table")
    table.touch()
    nft.write_text(f"#!/bin/sh\ncase $1 in list) test -e {table};; *) echo 'Error: busy'; exit 1;; esac\n")
    with pytest.raises(CannotRun, match="nftables keeps the table inet teal-shop") as refused:
        nftables.remove("teal-shop")
    assert refused.value.evidence == ("Error: busy",)
    nft.write_text(f"#!/bin/sh\ncase $1 in list) test -e {table};; *) rm {table};; esac\n")
    subprocess.run(shlex.split(refused.value.hint.split(": ")[1]), env={"PATH": f"{nft.parent}:/bin"}, check=True)
    nftables.remove("teal-shop")
    assert not table.exists()
