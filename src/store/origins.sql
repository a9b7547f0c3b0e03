-- Where a record came from, if not from a step that ran here on what was made here: caches that were imported, and that
-- it, or something that it rests on, was found in. Who does not name all of them does not get the record.

CREATE TABLE record_origins (
    record INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    origin TEXT NOT NULL,
    PRIMARY KEY (record, origin)
) STRICT, WITHOUT ROWID;

-- The content key under which a definition's result was recorded, too, so that an export takes both along.

CREATE TABLE record_contents (
    record  INTEGER PRIMARY KEY REFERENCES records (id) ON DELETE CASCADE,
    content BLOB NOT NULL
) STRICT;
