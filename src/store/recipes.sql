-- What keys of steps were made of, so that a later miss can say what differs. Nothing is found by these rows: they may be
-- lost at any time.

CREATE TABLE recipes (
    id      INTEGER PRIMARY KEY,
    key     BLOB NOT NULL UNIQUE,               -- of the record
    project BLOB NOT NULL,                      -- digests that tell which step of which project it is
    text    BLOB NOT NULL,
    place   BLOB NOT NULL,
    value   BLOB NOT NULL,                      -- compressed
    made    INTEGER NOT NULL
) STRICT;
CREATE INDEX recipes_by_text ON recipes (text);
CREATE INDEX recipes_by_place ON recipes (project, place);
