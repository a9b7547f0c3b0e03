-- Two tables point at files, and only these know about durability (see durable.rs): `boot` is the boot under which the
-- file was written, or NULL once it is on the disk. `id` grows with every write, also of a digest that was here before:
-- rows are replaced, never updated in place, when their file is written anew.

CREATE TABLE blobs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    digest    BLOB NOT NULL UNIQUE,
    size      INTEGER NOT NULL,
    boot      TEXT,
    last_used INTEGER NOT NULL                  -- milliseconds since 1970, here and below
) STRICT;
CREATE INDEX blobs_not_durable ON blobs (boot) WHERE boot IS NOT NULL;

CREATE TABLE layer_dirs (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    diff_id   BLOB NOT NULL UNIQUE,
    bytes     INTEGER,                          -- on the disk; NULL until somebody asks
    boot      TEXT,
    last_used INTEGER NOT NULL
) STRICT;
CREATE INDEX layer_dirs_not_durable ON layer_dirs (boot) WHERE boot IS NOT NULL;

-- The rest are facts. They stay true whatever happens to files.

CREATE TABLE layers (
    diff_id   BLOB PRIMARY KEY,
    toc       BLOB,                             -- a blob: the contents table
    size      INTEGER NOT NULL,                 -- of the uncompressed tar
    canonical INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX layers_by_toc ON layers (toc) WHERE toc IS NOT NULL;

CREATE TABLE layer_blobs (
    diff_id    BLOB NOT NULL,
    encoding   TEXT NOT NULL,
    digest     BLOB NOT NULL,
    size       INTEGER NOT NULL,
    media_type TEXT NOT NULL,
    PRIMARY KEY (diff_id, encoding)
) STRICT, WITHOUT ROWID;
CREATE INDEX layer_blobs_by_digest ON layer_blobs (digest);

CREATE TABLE records (
    id        INTEGER PRIMARY KEY,
    key       BLOB NOT NULL UNIQUE,
    kind      INTEGER NOT NULL,
    value     BLOB NOT NULL,
    last_used INTEGER NOT NULL
) STRICT;

CREATE TABLE record_layers (
    record  INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE,
    diff_id BLOB NOT NULL,
    remote  INTEGER NOT NULL,                   -- a registry has it: it need not be here
    PRIMARY KEY (record, diff_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_layers_by_diff_id ON record_layers (diff_id);

CREATE TABLE images (
    name       TEXT PRIMARY KEY,
    descriptor TEXT NOT NULL,
    created    INTEGER NOT NULL,
    size       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE image_blobs (
    image  TEXT NOT NULL REFERENCES images (name) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    PRIMARY KEY (image, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

CREATE TABLE stat_cache (
    device    INTEGER NOT NULL,
    inode     INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    mtime     INTEGER NOT NULL,                 -- nanoseconds, as ctime
    ctime     INTEGER NOT NULL,
    mode      INTEGER NOT NULL,
    digest    BLOB NOT NULL,
    recorded  INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID;
