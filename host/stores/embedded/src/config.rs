//! The configuration of the embedded store.

/// The limits of the embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The size of the block cache, in bytes.
    pub cache_bytes: u64,
    /// Appends to the log block while the queue has this many bytes.
    pub queue_bytes: usize,
    /// Appends to the log block while the queue has this many appends.
    pub queue_appends: usize,
    /// Small appends to a partition are joined into blocks of about this many bytes.
    pub block_bytes: usize,
    /// Opens a folder even if it has lost stored data. The loss is final then.
    pub accept_loss: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cache_bytes: 128 << 20,
            queue_bytes: 64 << 20,
            queue_appends: 4096,
            block_bytes: 256 << 10,
            accept_loss: false,
        }
    }
}
