-- What there is to say of blobs of layers that can be read file by file, in the words of the formats themselves: the
-- annotations of their descriptors. `diff_id` is the tar that the blob holds, which need not be the layer's own.

CREATE TABLE blob_indexes (
    digest      BLOB PRIMARY KEY,
    diff_id     BLOB NOT NULL,
    annotations TEXT NOT NULL                   -- JSON: an object of strings
) STRICT, WITHOUT ROWID;
