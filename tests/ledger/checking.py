"""What holds of any log, checked from its rows with nothing but JSON and SHA-256."""

import hashlib
import json
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.conftest import LedgerDatabase

LOG = (
    "SELECT position, petition, version, type::text, effective, recorded, delta, count_after, signature, hold, leaf,"
    " leaf_hash FROM ledger.events ORDER BY position"
)


async def whole_log(database: LedgerDatabase) -> Sequence[Mapping[str, Any]]:
    """Every row of the log, checked."""
    rows: Sequence[Mapping[str, Any]] = await database.superuser.fetch(LOG)
    check(rows)
    return rows


def check(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rules 1, 5, 6, 7, 14 and the chain of leaves, for a log from its first row on."""
    versions: dict[int, int] = defaultdict(int)
    counts: dict[int, int] = defaultdict(int)
    hashes: dict[int, bytes] = {}
    observed: dict[int, tuple[str, int]] = {}
    standing: dict[int, set[str]] = defaultdict(set)
    signatures: dict[str, dict[str, Any]] = {}
    recorded = datetime.min.replace(tzinfo=UTC)
    for position, row in enumerate(rows, start=1):
        leaf = json.loads(row["leaf"])
        petition, type, data = row["petition"], row["type"], leaf["data"]
        assert row["position"] == position == int(leaf["id"])
        versions[petition] += 1
        counts[petition] += row["delta"]
        assert row["version"] == versions[petition] == leaf["version"]
        assert row["count_after"] == counts[petition] >= 0
        assert row["leaf_hash"] == hashlib.sha256(b"\0" + row["leaf"]).digest()
        assert leaf.get("prev") == (b64encode(hashes[petition]).decode() if petition in hashes else None)
        hashes[petition] = row["leaf_hash"]
        assert recorded <= row["recorded"]
        recorded = row["recorded"]
        assert (leaf["type"], leaf["recordedtime"], leaf["time"]) == (type, text(recorded), text(row["effective"]))
        if row["signature"] is None:
            if type == "count.observed.v1":
                if leaf["time"] >= observed.get(petition, ("", 0))[0]:
                    observed[petition] = (leaf["time"], data["count"])
                assert counts[petition] == observed[petition][1]
            assert row["delta"] == 0 or type == "count.observed.v1"
            continue
        assert data["signature"] == str(row["signature"])
        _step(signatures, petition, type, data)
        is_standing = stands(signatures[data["signature"]])
        assert row["delta"] == is_standing - (data["signature"] in standing[petition])
        (standing[petition].add if is_standing else standing[petition].discard)(data["signature"])
        assert counts[petition] == len(standing[petition])
        if type == "signature.recorded.v1":
            signers = [signatures[each]["signer"] for each in standing[petition]]
            assert len(signers) == len(set(signers))


def _step(signatures: dict[str, dict[str, Any]], petition: int, type: str, data: dict[str, Any]) -> None:
    """Rule 7: legal transitions only."""
    if type == "signature.recorded.v1":
        assert data["signature"] not in signatures
        signatures[data["signature"]] = {
            "petition": petition,
            "signer": data["signer_ref"],
            "confirmed": data["confirmed"],
            "withdrawn": False,
            "holds": set(),
        }
        return
    signature = signatures[data["signature"]]
    assert signature["petition"] == petition
    match type:
        case "signature.confirmed.v1":
            assert not signature["confirmed"]
            assert not signature["withdrawn"]
            signature["confirmed"] = True
        case "signature.withdrawn.v1":
            assert not signature["withdrawn"]
            signature["withdrawn"] = True
        case "signature.invalidated.v1":
            assert data["correction"] not in signature["holds"]
            signature["holds"].add(data["correction"])
        case "signature.reinstated.v1":
            signature["holds"].remove(data["lifts"])
        case _:
            assert type in ("signature.amended.v1", "signer.erased.v1")


def stands(signature: Mapping[str, Any]) -> bool:
    """Confirmed, not withdrawn, and with no hold."""
    return signature["confirmed"] and not signature["withdrawn"] and not signature["holds"]


def text(instant: datetime) -> str:
    """An instant as a leaf writes it."""
    return instant.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
