"""Evidence that may identify people: content-addressed, encrypted, and erasable per scope while the ledger stays whole.

Each scope (a study's label, or ``program``) has a data key, wrapped by the key of its patient group, wrapped by the
root key. Merging or moving a patient's studies therefore only rewraps, and destroying a scope's key erases its objects
in every copy of the object file. Encryption is AES-SIV (RFC 5297): deterministic, so that putting the same bytes again
after an interruption gives the same address, and without a nonce that a restored backup could repeat. What it gives
away is that two objects of one scope are equal, which the address tells anyway.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from vna_lifecycle.database import Schema, open_sqlite, truncate_log, writing
from vna_lifecycle.errors import EvidenceErased, StateError, StorageError, VaultCorrupt

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

_KEY: Final = 64  # bytes of an AES-SIV key: one AES-256 key each for the synthetic IV and for the cipher
_SALT: Final = 32
_LABEL_BYTES: Final = 10  # 16 characters of base32; a million labels collide with probability 2**-41

_OBJECTS: Final = (
    "CREATE TABLE objects (address TEXT NOT NULL PRIMARY KEY, scope TEXT NOT NULL, sealed BLOB NOT NULL)",
)
_KEYS: Final = (
    "CREATE TABLE program (name TEXT NOT NULL PRIMARY KEY, wrapped BLOB NOT NULL)",
    "CREATE TABLE groups (name TEXT NOT NULL PRIMARY KEY, wrapped BLOB NOT NULL)",
    # wrapped is NULL once the scope is erased: the row stays, to tell erased evidence from unknown
    "CREATE TABLE scopes (name TEXT NOT NULL PRIMARY KEY, member_of TEXT NOT NULL, wrapped BLOB)",
    "CREATE INDEX scopes_member_of ON scopes (member_of)",
)


class _ScopeKey(NamedTuple):
    data_key: bytes
    salt: bytes


class Sealed(NamedTuple):
    """Evidence as it will be stored: encrypted, under its address."""

    address: str
    scope: str
    data: bytes


class Vault:
    """The evidence store of one program: ``vault.db`` in one directory, its keys in another.

    Use one object from any threads. Give the directory of the keys other backups than that of the objects, or
    erasing reaches no further than this machine.
    """

    def __init__(self, objects: Engine, keys: Engine, root: bytes) -> None:
        self._objects = objects
        self._keys = keys
        self._root = root
        with keys.connect() as connection:
            row = connection.exec_driver_sql("SELECT wrapped FROM program WHERE name = 'label'").one()
        self._label_key = _unwrap(root, row[0], "program", "label")

    @classmethod
    def create(cls, objects: Path, keys: Path) -> Vault:
        """Make a vault: ``objects`` is the object file, ``keys`` a directory, made with mode 0700 if it is not there.

        Raises:
            StorageError: there is a vault already, or it cannot be written.
        """
        root = os.urandom(_KEY)
        try:
            keys.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(_root_file(keys), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(root.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as exc:
            raise StorageError(f"the vault's root key cannot be written ({exc.strerror})", path=keys) from exc

        open_sqlite(_key_file(keys), schema=_key_schema(root), create=True).dispose()
        open_sqlite(objects, schema=_object_schema(), create=True).dispose()
        return cls.open(objects, keys)

    @classmethod
    def open(cls, objects: Path, keys: Path) -> Vault:
        """Open a vault.

        Raises:
            StorageError: it is not there, cannot be read, or its root key can be read by others than its owner.
            VaultCorrupt: the root key is not the one that wrapped the keys.
            SchemaTooNew: a newer version of this software wrote it.
        """
        path = _root_file(keys)
        try:
            if path.stat().st_mode & 0o077:
                raise StorageError("the root key can be read by others", path=path, hint="chmod 600 the key file")
            root = bytes.fromhex(path.read_text(encoding="ascii"))
        except OSError as exc:
            raise StorageError(f"the vault's root key cannot be read ({exc.strerror})", path=path) from exc
        except ValueError as exc:
            raise StorageError("the vault's root key is damaged", path=path) from exc
        if len(root) != _KEY:
            raise StorageError("the vault's root key is damaged", path=path)
        opened: list[Engine] = []
        try:
            opened.append(open_sqlite(objects, schema=_object_schema()))
            opened.append(open_sqlite(_key_file(keys), schema=_key_schema(root)))
            return cls(opened[0], opened[1], root)
        except BaseException:
            for engine in opened:
                engine.dispose()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._objects.dispose()
        self._keys.dispose()

    def put(self, scope: str, data: bytes) -> str:
        """Keep ``data`` durably; returns its address. The same bytes in the same scope have the same address.

        Raises:
            EvidenceErased: the scope was erased.
        """
        return self.put_many([(scope, data)])[0]

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> list[str]:
        """As `put`, for many (scope, data) in one transaction; returns the addresses in order."""
        sealed = self.seal_many(items)
        self.put_sealed(sealed)
        return [item.address for item in sealed]

    def seal(self, scope: str, data: bytes) -> Sealed:
        """What `put_sealed` will keep: its address is known before it is durable, so that many can be put at once.

        Raises:
            EvidenceErased: the scope was erased.
        """
        return self.seal_many(((scope, data),))[0]

    def seal_many(self, items: Sequence[tuple[str, bytes]]) -> list[Sealed]:
        """As `seal`, for many (scope, data), in order."""
        keys = self._scope_keys({scope for scope, _ in items})
        return [_sealed(keys[scope], scope, data) for scope, data in items]

    def put_sealed(self, items: Sequence[Sealed]) -> None:
        """Keep what was sealed, durably, in one transaction."""
        if items:
            with writing(self._objects) as connection:
                connection.exec_driver_sql(
                    "INSERT INTO objects (address, scope, sealed) VALUES (?, ?, ?) ON CONFLICT (address) DO NOTHING",
                    list(items),
                )

    def get(self, address: str) -> bytes:
        """What was put.

        Raises:
            StateError: nothing was ever put under this address.
            EvidenceErased: its scope was erased.
            VaultCorrupt: what is stored is not what was put.
        """
        try:
            return self.get_many([address])[address]
        except (VaultCorrupt, EvidenceErased) as exc:
            exc.digest = address
            raise

    def get_many(self, addresses: Sequence[str]) -> dict[str, bytes]:
        """As `get`, for many at once, by address; what is wrong with any of them is raised without saying which."""
        query = "SELECT address, scope, sealed FROM objects WHERE address IN (SELECT value FROM json_each(?))"
        with self._objects.connect() as connection:
            found = connection.exec_driver_sql(query, (json.dumps(addresses),))
            rows = {address: (scope, sealed) for address, scope, sealed in found}
        if len(rows) < len(set(addresses)):
            raise StateError("there is no evidence under this address", hint="check the vault's file")
        if any(type(data) is not bytes or hashlib.sha256(data).hexdigest() != a for a, (_, data) in rows.items()):
            raise VaultCorrupt("stored evidence does not have its digest")
        with self._keys.connect() as connection:
            keys = self._unwrapped(connection, sorted({scope for scope, _ in rows.values()}))
        return {address: _opened(keys.get(scope), data) for address, (scope, data) in rows.items()}

    def label(self, value: str) -> str:
        """What the ledger and messages call ``value`` (a Study Instance UID, say): 16 characters, always the same.

        A keyed digest (HMAC-SHA-256), so that nobody without this vault's keys can try out values.
        """
        digest = hmac.digest(self._label_key, value.encode("utf-8", "surrogatepass"), "sha256")
        return base64.b32encode(digest[:_LABEL_BYTES]).decode().lower()

    def commit(self, scope: str, value: bytes) -> str:
        """A salted commitment to ``value``, in hexadecimal: HMAC-SHA-256 with the scope's salt.

        It says nothing about the value to anyone without the salt, nor to anyone once the scope is erased.

        Raises:
            EvidenceErased: the scope was erased.
        """
        return hmac.digest(self._scope_keys({scope})[scope].salt, value, "sha256").hex()

    def begin(self, scopes: Sequence[tuple[str, str]]) -> None:
        """Make the keys of many (scope, group) in one transaction; scopes that there are stay where they are."""
        if not scopes:
            return
        with writing(self._keys) as connection:
            known = connection.exec_driver_sql(
                "SELECT name FROM scopes WHERE name IN (SELECT value FROM json_each(?))",
                (json.dumps([scope for scope, _ in scopes]),),
            )
            there = {name for (name,) in known}
            for scope, group in scopes:
                if scope not in there:
                    self._make(connection, scope, group)

    def assign(self, scope: str, group: str) -> None:
        """Move a scope to a patient group, of which it then shares the fate; a new scope or group is made.

        Only the scope's key is wrapped anew; no object is touched and no address changes.

        Raises:
            EvidenceErased: the scope was erased.
        """
        self._scope_keys({scope})
        with writing(self._keys) as connection:
            old_group = _member_of(connection, scope)
            key = self._unwrapped(connection, [scope])[scope]
            connection.exec_driver_sql(
                "UPDATE scopes SET member_of = ?, wrapped = ? WHERE name = ?",
                (group, _wrap(self._group_key(connection, group), b"".join(key), "scope", scope), scope),
            )
            _drop_if_empty(connection, old_group)

    def erase(self, scope: str) -> None:
        """Destroy a scope's key, durably and in the key file's own bytes; its objects stay as unreadable ciphertext.

        This reaches the live files. Copies of the key file, and blocks that the file system or the device kept, are
        beyond it: hence the separate directory. Erasing again has no effect.

        Raises:
            StateError: there is no such scope.
            StorageError: the key is deleted, but its old bytes could not be removed from the log yet: erase again.
        """
        with writing(self._keys) as connection:
            group = _member_of(connection, scope)
            connection.exec_driver_sql("UPDATE scopes SET member_of = '', wrapped = NULL WHERE name = ?", (scope,))
            _drop_if_empty(connection, group)
        if not truncate_log(self._keys):  # secure_delete zeroes keys in the database file, not in the log before it
            raise StorageError("other processes are reading the vault's keys", hint="erase again when they are done")

    def _scope_keys(self, scopes: Iterable[str]) -> dict[str, _ScopeKey]:
        """The keys of these scopes; those that are new are made."""
        wanted = sorted(set(scopes))
        with self._keys.connect() as connection:
            keys = self._unwrapped(connection, wanted)
        missing = [scope for scope in wanted if scope not in keys]
        if missing:
            with writing(self._keys) as connection:
                for scope in missing:
                    self._make(connection, scope, scope)  # by default, a scope is in a group of its own
                keys |= self._unwrapped(connection, missing)  # another process may have been faster
        return keys

    def _make(self, connection: Connection, scope: str, group: str) -> None:
        wrapped = _wrap(self._group_key(connection, group), os.urandom(_KEY + _SALT), "scope", scope)
        connection.exec_driver_sql(
            "INSERT INTO scopes (name, member_of, wrapped) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING",
            (scope, group, wrapped),
        )

    def _unwrapped(self, connection: Connection, scopes: Sequence[str]) -> dict[str, _ScopeKey]:
        """The keys of those scopes that there are. Nothing is cached: an erased key is gone at once, everywhere."""
        keys: dict[str, _ScopeKey] = {}
        group_keys: dict[str, bytes] = {}
        rows = connection.exec_driver_sql(
            "SELECT scopes.name, member_of, scopes.wrapped, groups.wrapped FROM scopes"
            " LEFT JOIN groups ON groups.name = member_of WHERE scopes.name IN (SELECT value FROM json_each(?))",
            (json.dumps(scopes),),
        )
        for name, group, wrapped, wrapped_group in rows:
            if wrapped is None:
                raise EvidenceErased("this evidence was erased on purpose")
            if group not in group_keys:
                group_keys[group] = _unwrap(self._root, wrapped_group, "group", group)
            key = _unwrap(group_keys[group], wrapped, "scope", name)
            keys[name] = _ScopeKey(key[:_KEY], key[_KEY:])
        return keys

    def _group_key(self, connection: Connection, group: str) -> bytes:
        """A group's key; a new one is made."""
        row = connection.exec_driver_sql("SELECT wrapped FROM groups WHERE name = ?", (group,)).one_or_none()
        if row is not None:
            return _unwrap(self._root, row[0], "group", group)
        key = os.urandom(_KEY)
        connection.exec_driver_sql(
            "INSERT INTO groups (name, wrapped) VALUES (?, ?)", (group, _wrap(self._root, key, "group", group))
        )
        return key


def _sealed(keys: _ScopeKey, scope: str, data: bytes) -> Sealed:
    sealed = AESSIV(keys.data_key).encrypt(data, None)
    return Sealed(hashlib.sha256(sealed).hexdigest(), scope, sealed)


def _opened(keys: _ScopeKey | None, sealed: bytes) -> bytes:
    if keys is None:
        raise VaultCorrupt("the key of stored evidence is missing")
    try:
        return AESSIV(keys.data_key).decrypt(sealed, None)
    except InvalidTag:
        raise VaultCorrupt("stored evidence cannot be decrypted with its scope's key") from None


def _member_of(connection: Connection, scope: str) -> str:
    row = connection.exec_driver_sql("SELECT member_of FROM scopes WHERE name = ?", (scope,)).one_or_none()
    if row is None:
        raise StateError("there is no such scope in the vault")
    return str(row[0])


def _drop_if_empty(connection: Connection, group: str) -> None:
    connection.exec_driver_sql(
        "DELETE FROM groups WHERE name = ? AND NOT EXISTS (SELECT 1 FROM scopes WHERE member_of = ?)", (group, group)
    )


def _wrap(key: bytes, secret: bytes, kind: str, name: str) -> bytes:
    return AESSIV(key).encrypt(secret, [kind.encode(), name.encode()])  # bound to its name: rows cannot be swapped


def _unwrap(key: bytes, wrapped: object, kind: str, name: str) -> bytes:
    try:
        if isinstance(wrapped, bytes):
            return AESSIV(key).decrypt(wrapped, [kind.encode(), name.encode()])
    except InvalidTag:
        pass
    raise VaultCorrupt(f"the key of a {kind} cannot be unwrapped", hint="restore the keys' directory from its backup")


def _root_file(keys: Path) -> Path:
    return keys / "root.key"


def _key_file(keys: Path) -> Path:
    return keys / "vault-keys.db"


def _create_objects(connection: Connection) -> None:
    for statement in _OBJECTS:
        connection.exec_driver_sql(statement)


def _create_keys(connection: Connection, root: bytes) -> None:
    for statement in _KEYS:
        connection.exec_driver_sql(statement)
    label_key = _wrap(root, os.urandom(_KEY), "program", "label")
    connection.exec_driver_sql("INSERT INTO program (name, wrapped) VALUES ('label', ?)", (label_key,))


def _object_schema() -> Schema:
    return Schema(
        name="vault",
        application_id=0x564E4156,
        version=1,
        create=_create_objects,
        corrupt=VaultCorrupt,  # "VNAV"
    )


def _key_schema(root: bytes) -> Schema:
    return Schema(
        name="vault's key file",
        application_id=0x564E414B,  # "VNAK"
        version=1,
        create=partial(_create_keys, root=root),
        corrupt=VaultCorrupt,
        pragmas={"secure_delete": 1},
    )
