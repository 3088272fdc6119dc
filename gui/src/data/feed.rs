//! Where the data come from: a thread that follows a cluster, or a file.

use super::{Budgets, Link, Store, Wants, file, live};
use crossbeam::channel::{Receiver, Sender, unbounded};
use phalanx_record::Recording;
use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

/// What a feed has to show at a moment.
#[derive(Debug)]
pub struct View {
    /// How the data come.
    pub link: Link,
    /// The data; `None` before the first.
    pub store: Option<Store>,
}

/// Follows a cluster, or holds what a file has. Dropped, it lets go of either.
#[derive(Debug)]
pub struct Feed {
    view: Shared,
    /// What was wanted last, so that only changes are told.
    wants: Mutex<Wants>,
    thread: Option<(Sender<Wants>, JoinHandle<()>)>,
}

/// A view that a thread fills and pages draw from.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    view: Arc<Mutex<View>>,
    /// The feed was dropped.
    left: Arc<AtomicBool>,
}

impl Shared {
    pub fn new(link: Link, store: Option<Store>) -> Self {
        Self { view: Arc::new(Mutex::new(View { link, store })), left: Arc::default() }
    }

    pub fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    pub fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The view, unless a frame is being drawn from it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, View>> {
        match self.view.try_lock() {
            Ok(view) => Some(view),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl Feed {
    /// Follows a cluster by name: also one that does not exist yet, ends, and is started again.
    pub fn live(name: &str) -> Self {
        Self::live_within(name, Budgets::default())
    }

    /// As [`Feed::live`], keeping so much.
    pub fn live_within(name: &str, budgets: Budgets) -> Self {
        let name = name.to_owned();
        let view = Shared::new(Link::Waiting, None);
        Self::over(view, move |shared, orders| live::run(&name, shared, orders, budgets))
    }

    /// Has a thread fill a view.
    fn over(view: Shared, fill: impl FnOnce(&Shared, &Receiver<Wants>) + Send + 'static) -> Self {
        let (tell, orders) = unbounded();
        let shared = view.clone();
        let thread = std::thread::Builder::new().name("phalanx-feed".into());
        let thread = match thread.spawn(move || fill(&shared, &orders)) {
            Ok(thread) => Some((tell, thread)),
            Err(e) => {
                view.lock().link = Link::Refused(format!("there is no thread to read with: {e}"));
                None
            }
        };
        Self { view, wants: Mutex::default(), thread }
    }

    /// Opens a recording or a dump; it is read in the background, and [`Link::File`] says how far that is.
    pub fn open(path: &Path) -> phalanx_record::Result<Self> {
        Self::open_within(path, file::BUDGETS)
    }

    /// As [`Feed::open`], keeping so much.
    pub fn open_within(path: &Path, budgets: Budgets) -> phalanx_record::Result<Self> {
        let recording = Recording::open(path)?;
        let store = Store::within(recording.cluster(), recording.manifest().clone(), budgets)?;
        let view = Shared::new(Link::File("reading".into()), Some(store));
        Ok(Self::over(view, move |shared, orders| file::run(recording, shared, orders, budgets)))
    }

    /// Shows a store that somebody else fills: for tests and pictures.
    pub fn of(store: Store) -> Self {
        let link = Link::Live(phalanx::layout::Phase::Ready);
        Self { view: Shared::new(link, Some(store)), wants: Mutex::default(), thread: None }
    }

    /// What there is now. Held for the time of drawing a frame; the feed waits meanwhile, the cluster never.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock()
    }

    /// Says what is to be followed from now on. Not to be called while the view is held.
    pub fn want(&self, wants: &Wants) {
        let mut told = self.wants.lock().unwrap_or_else(PoisonError::into_inner);
        if *told == *wants {
            return;
        }
        told.clone_from(wants);
        match &self.thread {
            // It ends only with this feed.
            Some((tell, _)) => drop(tell.send(wants.clone())),
            None => {
                if let Some(store) = &mut self.view().store {
                    store.want(wants);
                }
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        if let Some((tell, thread)) = self.thread.take() {
            drop(tell);
            self.view.left.store(true, Ordering::Relaxed);
            let _ = thread.join();
        }
    }
}
