"""Personal columns: their values leave the decisions only as keyed hashes.

`pii:` and the first 16 hex digits of HMAC-SHA256 (RFC 2104) of the value. The key is random, stays in
the store's folder and is put into the connection as variables, so that no SQL text holds it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from monitor.config import Config, Loaded
from monitor.store import Store, StoreError, has_table, literal, quoted

KEY_FILE = "pii.key"
KEY_BYTES, BLOCK = 32, 64
INNER, OUTER = "pii_inner", "pii_outer"
HASHED = r"pii:[0-9a-f]{16}"
SHORTEST = 4
NAMES = "CREATE TABLE IF NOT EXISTS pii_names (hash VARCHAR, value VARCHAR)"
DERIVED_FROM_IDS = ("unit_hash", "row_hash")
Steps = tuple[str | int, ...]


def arm(connection: duckdb.DuckDBPyConnection, loaded: Loaded) -> None:
    """Let SQL on this connection hash personal values; nothing where the configuration lists none.

    Raises StoreError when the key cannot be read.
    """
    if not loaded.config.pii:
        return
    key = _key(Store(loaded.path(loaded.config.store)))
    padded = key.ljust(BLOCK, b"\0")
    for name, pad in ((INNER, 0x36), (OUTER, 0x5C)):
        connection.execute(f"SET VARIABLE {name} = ?::BLOB", [bytes(b ^ pad for b in padded)])


def hashed(text: str) -> str:
    """SQL of the keyed hash of an expression; NULL stays NULL. Needs a connection that was armed."""
    inner = f"unhex(sha256(getvariable('{INNER}') || encode(CAST({text} AS VARCHAR))))"
    return f"'pii:' || left(sha256(getvariable('{OUTER}') || {inner}), 16)"


def shown(column: str, config: Config, value: str | None = None) -> str:
    """SQL of a column's value as it may be shown: hashed where it is personal. `value`: where it is."""
    value = value or quoted(column)
    return hashed(value) if column in config.pii else value


def row(config: Config, columns: Sequence[str]) -> str:
    """The select list of whole decisions as they may be shown, without hashes that have no key."""
    if not config.pii:
        return "*"
    kept = [c for c in columns if c not in DERIVED_FROM_IDS]
    return ", ".join(f"{shown(c, config)} AS {quoted(c)}" for c in kept)


def masked(raw: str, fields: Mapping[Steps, bool], where: str) -> str:
    """SQL of a rejected record as it may be kept: of an object the `fields` that are read, by path, the
    personal ones (true) hashed.

    Another text is replaced by its hash, its length and `where` it stands; so is an object that has
    personal values in a list, or repeats one of at least 4 characters in another field.
    """
    instead = f"{hashed(raw)} || ' (' || length({raw}) || ' characters, ' || {where} || ')'"
    values = {path: f"json_extract_string({raw}, {literal(_pointer(path))})" for path in fields}
    tree = _tree(
        {path: hashed(values[path]) if hidden else f"json_extract({raw}, {literal(_pointer(path))})"
         for path, hidden in fields.items()}
    )  # fmt: skip
    if tree is None:
        return instead
    text = f"CAST(json_merge_patch('{{}}', {_object(tree)}) AS VARCHAR)"
    repeated = " OR ".join(
        f"coalesce(length({values[path]}) >= {SHORTEST} AND contains({text}, {values[path]}), false)"
        for path, hidden in fields.items() if hidden
    ) or "false"  # fmt: skip
    readable = f"NOT contains({raw}, chr(0)) AND json_valid({raw}) AND left(ltrim({raw}), 1) = '{{'"
    return f"CASE WHEN {readable} THEN CASE WHEN {repeated} THEN {instead} ELSE {text} END ELSE {instead} END"


def hide_categories(
    connection: duckdb.DuckDBPyConnection, config: Config, features: Mapping[str, dict[str, Any]]
) -> None:
    """Replace the categories of personal features in a baseline; their names stay with the decisions."""
    for name, bins in features.items():
        if f"state_{name}" in config.pii and "categories" in bins:
            connection.execute(NAMES)
            for part in ("categories", "seen"):
                told = connection.execute(
                    f"SELECT {hashed('value')}, value FROM (SELECT unnest(?::VARCHAR[]) AS value)",
                    [bins[part]],
                ).fetchall()
                bins[part] = [hash_ for hash_, _ in told]
                connection.execute(
                    "INSERT INTO pii_names SELECT unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
                    [bins[part], [value for _, value in told]],
                )


def with_categories(
    connection: duckdb.DuckDBPyConnection, config: Config, bins: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The bins of a baseline with the names that `hide_categories` took out: SQL compares with them."""
    if not config.pii or not has_table(connection, "pii_names"):
        return dict(bins)
    names = dict(connection.execute("SELECT hash, value FROM pii_names").fetchall())
    named = dict(bins)
    for feature, body in bins.items():
        if f"state_{feature}" in config.pii and "categories" in body:
            parts = {part: [names.get(v, v) for v in body[part]] for part in ("categories", "seen")}
            named[feature] = {**body, **parts}
    return named


def _key(store: Store) -> bytes:
    path = store.folder / KEY_FILE
    if not path.exists():
        store.create()
        _make(path)
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except (OSError, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise StoreError(f"{KEY_FILE} cannot be read or is no key; put it back, or remove it for a new one")
    return key


def _make(path: Path) -> None:
    """A new key, there wholly or not at all; the first of two processes wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, secrets.token_hex(KEY_BYTES).encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    try:
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()


def _pointer(path: Steps) -> str:
    return "$" + "".join('."' + str(step).replace('"', '\\"') + '"' for step in path)


def _tree(leaves: Mapping[Steps, str]) -> dict[str, Any] | None:
    """Leaves by path as nested mappings, None where a path goes into a list or through another one."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        node: Any = tree
        for step in path[:-1]:
            node = node.setdefault(step, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict) or path[-1] in node or any(isinstance(s, int) for s in path):
            return None
        node[path[-1]] = leaf
    return tree or None


def _object(tree: Mapping[str, Any]) -> str:
    parts = (
        f"{literal(key)}, {_object(leaf) if isinstance(leaf, dict) else leaf}" for key, leaf in tree.items()
    )
    return f"json_object({', '.join(parts)})"
