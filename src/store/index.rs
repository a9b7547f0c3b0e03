//! The index: one `SQLite` database in WAL mode, where reading never waits for writing.
//!
//! Every change of a name under `blobs/` or `layers/` happens *inside a write transaction* of the index. `SQLite` lets
//! one process at a time have one, and gives it up when that process dies; so the transaction is the store's mutex
//! between processes, and no other is needed: two builds that commit the same layer, or a build and a collection of
//! garbage, meet here and nowhere else. What such a transaction does to the file system is therefore kept short:
//! renames, never the removal or the copying of a tree.

use super::{StoreError, error::At};
use crate::image::{BlobDigest, ContentDigest, DiffId, Digest};
use rusqlite::{
    Connection, OpenFlags, ToSql, Transaction, TransactionBehavior,
    types::{FromSql, FromSqlResult, ToSqlOutput, ValueRef},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// The steps from an empty database to the present schema; `user_version` counts those that were taken. Never change a
/// step that was released: add one.
const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("places.sql"),
    include_str!("recipes.sql"),
    include_str!("blob_index.sql"),
    include_str!("origins.sql"),
    include_str!("build_notes.sql"),
    include_str!("blocks.sql"),
    include_str!("totals.sql"),
    include_str!("old_build_notes.sql"),
];

/// How long to wait for another process's transaction.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Index {
    path: PathBuf,
    reading: Mutex<Connection>,
    writing: Mutex<Connection>,
    transactions: AtomicU64,
}

/// Why the body of a transaction gave up. It exists so that `?` works on both kinds of error in there.
pub(super) enum Failure {
    Sql(rusqlite::Error),
    Store(StoreError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Index {
    /// Opens the database and brings its schema up to date.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let connect = || -> Result<Connection, rusqlite::Error> {
            // Each connection is behind a mutex of ours: SQLite need not lock it again.
            let flags =
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = Connection::open_with_flags(path, flags)?;
            connection.busy_timeout(PATIENCE)?;
            connection.set_prepared_statement_cache_capacity(64);
            Ok(connection)
        };
        let open = || -> Result<(Connection, Connection), rusqlite::Error> {
            let mut writing = connect()?;
            migrate(&mut writing)?;
            writing.pragma_update(None, "synchronous", "NORMAL")?;
            Ok((connect()?, writing))
        };
        let (reading, writing) = open().map_err(|error| StoreError::index(path, error))?;
        Ok(Self {
            path: path.to_owned(),
            reading: Mutex::new(reading),
            writing: Mutex::new(writing),
            transactions: AtomicU64::new(0),
        })
    }

    /// Reads; what `body` sees is one moment of the index.
    pub(super) fn read<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>) -> Result<T, StoreError> {
        self.transact(lock(&self.reading), TransactionBehavior::Deferred, body)
    }

    /// Changes the index, and names in the store, alone among all processes. An error undoes the change of the index.
    pub(super) fn write<T>(&self, body: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>) -> Result<T, StoreError> {
        self.transact(lock(&self.writing), TransactionBehavior::Immediate, body)
    }

    /// Like [`Index::write`], and on the disk when it returns. The others may be lost in a power cut: never one but
    /// not those after it, and they never damage the database.
    pub(super) fn write_synced<T>(
        &self,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let connection = lock(&self.writing);
        let synchronous = |connection: &Connection, level| {
            connection.pragma_update(None, "synchronous", level).map_err(|error| StoreError::index(&self.path, error))
        };
        synchronous(&connection, "FULL")?;
        let result = self.transact(connection, TransactionBehavior::Immediate, body);
        synchronous(&lock(&self.writing), "NORMAL")?;
        result
    }

    /// How many transactions this process made.
    pub(super) fn transactions(&self) -> u64 {
        self.transactions.load(Ordering::Relaxed)
    }

    /// The bytes of the database's files.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let mut size = 0;
        for suffix in ["", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(suffix);
            match fs::metadata(&path) {
                Ok(metadata) => size += metadata.len(),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).at(Path::new(&path)),
            }
        }
        Ok(size)
    }

    #[expect(clippy::needless_pass_by_value, reason = "the guard is held for the transaction and no longer")]
    fn transact<T>(
        &self,
        connection: MutexGuard<'_, Connection>,
        behavior: TransactionBehavior,
        body: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        self.transactions.fetch_add(1, Ordering::Relaxed);
        let run = || {
            let transaction = Transaction::new_unchecked(&connection, behavior)?;
            let result = body(&transaction)?;
            transaction.commit()?;
            Ok(result)
        };
        run().map_err(|failure| match failure {
            Failure::Sql(error) => StoreError::index(&self.path, error),
            Failure::Store(error) => error,
        })
    }
}

/// A panic inside a transaction rolls it back, so a poisoned connection is as good as any.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

fn migrate(connection: &mut Connection) -> Result<(), rusqlite::Error> {
    let taken = |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, usize>(0));
    if taken(connection)? >= MIGRATIONS.len() {
        return Ok(());
    }
    // WAL is a property of the file, set once.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    // Another process may have been faster.
    for step in MIGRATIONS.iter().skip(taken(&transaction)?) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

macro_rules! digest_column {
    ($name:ty, $bytes:expr, $make:expr) => {
        impl ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
                let bytes: fn(&Self) -> &[u8; 32] = $bytes;
                Ok(ToSqlOutput::Borrowed(ValueRef::Blob(bytes(self))))
            }
        }

        impl FromSql for $name {
            fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
                <[u8; 32]>::column_result(value).map($make)
            }
        }
    };
}

digest_column!(BlobDigest, |digest| digest.0.as_bytes(), |bytes| BlobDigest(Digest::from_bytes(bytes)));
digest_column!(DiffId, |diff_id| diff_id.0.as_bytes(), |bytes| DiffId(Digest::from_bytes(bytes)));
digest_column!(ContentDigest, |digest| &digest.0, ContentDigest);
digest_column!(super::RecordKey, |key| &key.0, super::RecordKey);
