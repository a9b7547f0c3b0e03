-- Blocks of layers that were compressed here, and where in a blob they are: the next layer that has the same block takes
-- it from there. Facts about blobs that are here; nothing is lost with them but time.

CREATE TABLE blocks (
    key      BLOB PRIMARY KEY,                  -- of the block and its encoding
    blob     INTEGER NOT NULL REFERENCES blobs (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,                  -- bytes, in the blob
    size     INTEGER NOT NULL,
    checksum BLOB NOT NULL                      -- of the compressed bytes
) STRICT, WITHOUT ROWID;
CREATE INDEX blocks_by_blob ON blocks (blob);
