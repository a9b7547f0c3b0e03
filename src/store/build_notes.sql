-- What the last build of a name used, so that it can be taken elsewhere with all of it. Keeps nothing.

CREATE TABLE build_notes (
    name TEXT PRIMARY KEY,
    made INTEGER NOT NULL,
    note BLOB NOT NULL
) STRICT, WITHOUT ROWID;
