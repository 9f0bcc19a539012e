//! A TCP proxy that breaks connections at any byte, in either direction, whatever is spoken over them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Runtime;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// What happens to the bytes of one direction of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is reset after so many bytes.
    Reset { after_bytes: u64 },
    /// The connection is closed in an orderly way after so many bytes.
    Close { after_bytes: u64 },
    /// This direction is closed after so many bytes; the other one goes on.
    HalfClose { after_bytes: u64 },
    /// Nothing passes any more after so many bytes, and nobody is told.
    Stall { after_bytes: u64 },
    /// Every block of bytes waits for this long.
    Delay { time: Duration },
    /// Bytes pass at this rate.
    Throttle { bytes_per_sec: u64 },
    /// One byte becomes another one.
    Flip { at_byte: u64 },
}

/// The troubles to come: each befalls the next connection in the given direction.
#[derive(Debug, Default)]
struct Plan {
    next: Mutex<Vec<(Direction, Trouble)>>,
    happened: AtomicU64,
}

/// How connections are met.
mod mode {
    pub const PASS: u64 = 0;
    /// They are reset at once.
    pub const REFUSE: u64 = 1;
    /// They are accepted, and then nothing happens.
    pub const MUTE: u64 = 2;
}

/// One connection of a client, passed on.
#[derive(Debug)]
struct Connection {
    client: TcpStream,
    server: TcpStream,
    /// It ends without a goodbye.
    broken: AtomicBool,
}

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    plan: Plan,
    mode: AtomicU64,
    ended: AtomicBool,
    open: Mutex<Vec<Weak<Connection>>>,
    mute: Mutex<Vec<TcpStream>>,
}

/// As much as a network delivers at once.
const BLOCK_BYTES: usize = 16 * 1024;

/// How often a direction that stands still looks whether the proxy has ended.
const LOOK: Duration = Duration::from_millis(20);

impl Proxy {
    /// A proxy before a server on this machine.
    pub fn before(server_port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let proxy = Self {
            address,
            shared: shared.clone(),
        };
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.ended.load(Ordering::SeqCst) {
                    return;
                }
                match shared.mode.load(Ordering::SeqCst) {
                    mode::REFUSE => reset(&client),
                    mode::MUTE => lock(&shared.mute).push(client),
                    _ => match TcpStream::connect((Ipv4Addr::LOCALHOST, server_port)) {
                        Ok(server) => pass(client, server, &shared),
                        Err(_) => reset(&client),
                    },
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Befalls the next connection (each trouble one of its own).
    pub fn trouble(&self, direction: Direction, trouble: Trouble) {
        lock(&self.shared.plan.next).push((direction, trouble));
    }

    /// How many troubles have happened.
    pub fn happened(&self) -> u64 {
        self.shared.plan.happened.load(Ordering::SeqCst)
    }

    /// From now on every connection, old or new, is reset.
    pub fn refuse(&self) {
        self.shared.mode.store(mode::REFUSE, Ordering::SeqCst);
        self.break_off();
    }

    /// From now on old connections are reset, and new ones come about without an answer.
    pub fn fall_silent(&self) {
        self.shared.mode.store(mode::MUTE, Ordering::SeqCst);
        self.break_off();
    }

    /// From now on new connections pass again.
    pub fn mend(&self) {
        self.shared.mode.store(mode::PASS, Ordering::SeqCst);
    }

    fn break_off(&self) {
        for connection in lock(&self.shared.open).drain(..).filter_map(|open| open.upgrade()) {
            connection.break_off();
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.break_off();
        lock(&self.shared.mute).clear();
        // The listener wakes up once more and ends.
        let _ = TcpStream::connect(self.address);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets the end of a connection be a reset.
fn reset(stream: &TcpStream) {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .expect("a runtime")
    });
    let _inside = runtime.enter();
    let Ok(stream) = stream.try_clone() else { return };
    let _ = stream.set_nonblocking(true);
    if let Ok(stream) = tokio::net::TcpStream::from_std(stream) {
        let _ = stream.set_zero_linger();
    }
}

impl Connection {
    /// Resets both ends, as soon as both directions have noticed.
    fn break_off(&self) {
        self.broken.store(true, Ordering::SeqCst);
        for stream in [&self.client, &self.server] {
            reset(stream);
            // This wakes whoever reads here, and says nothing to the other side.
            let _ = stream.shutdown(Shutdown::Read);
        }
    }
}

fn pass(client: TcpStream, server: TcpStream, shared: &Arc<Shared>) {
    let trouble = {
        let mut next = lock(&shared.plan.next);
        (!next.is_empty()).then(|| next.remove(0))
    };
    let connection = Arc::new(Connection {
        client,
        server,
        broken: AtomicBool::new(false),
    });
    lock(&shared.open).push(Arc::downgrade(&connection));
    for direction in [Direction::Up, Direction::Down] {
        let trouble = trouble
            .filter(|(befallen, _)| *befallen == direction)
            .map(|(_, trouble)| trouble);
        let (shared, connection) = (shared.clone(), connection.clone());
        std::thread::spawn(move || pump(&connection, direction, trouble, &shared));
    }
}

/// Passes bytes on in one direction until something ends it.
fn pump(connection: &Connection, direction: Direction, trouble: Option<Trouble>, shared: &Shared) {
    let (mut from, mut to) = match direction {
        Direction::Up => (&connection.client, &connection.server),
        Direction::Down => (&connection.server, &connection.client),
    };
    let mut block = vec![0; BLOCK_BYTES];
    let mut passed_bytes = 0_u64;
    let happens = || shared.plan.happened.fetch_add(1, Ordering::SeqCst);
    while let Ok(count @ 1..) = from.read(&mut block) {
        let mut data = &mut block[..count];
        let until =
            |after_bytes: u64| usize::try_from(after_bytes - passed_bytes.min(after_bytes)).unwrap_or(usize::MAX);
        match trouble {
            None => {}
            Some(Trouble::Delay { time }) => {
                if passed_bytes == 0 {
                    happens();
                }
                std::thread::sleep(time);
            }
            Some(Trouble::Throttle { bytes_per_sec }) => {
                if passed_bytes == 0 {
                    happens();
                }
                let micros = count as u64 * 1_000_000 / bytes_per_sec.max(1);
                std::thread::sleep(Duration::from_micros(micros));
            }
            Some(Trouble::Flip { at_byte }) => {
                let position = until(at_byte);
                if at_byte >= passed_bytes && position < data.len() {
                    happens();
                    data[position] ^= 0x20;
                }
            }
            Some(
                Trouble::Reset { after_bytes }
                | Trouble::Close { after_bytes }
                | Trouble::HalfClose { after_bytes }
                | Trouble::Stall { after_bytes },
            ) => {
                let position = until(after_bytes);
                if position < data.len() {
                    happens();
                    data = &mut data[..position];
                    let _ = to.write_all(data);
                    return end(connection, direction, trouble, shared);
                }
            }
        }
        if to.write_all(data).is_err() {
            break;
        }
        passed_bytes += count as u64;
    }
    if !connection.broken.load(Ordering::SeqCst) {
        let _ = to.shutdown(Shutdown::Write);
    }
}

fn end(connection: &Connection, direction: Direction, trouble: Option<Trouble>, shared: &Shared) {
    let to = match direction {
        Direction::Up => &connection.server,
        Direction::Down => &connection.client,
    };
    match trouble {
        Some(Trouble::Reset { .. }) => connection.break_off(),
        Some(Trouble::HalfClose { .. }) => {
            let _ = to.shutdown(Shutdown::Write);
        }
        Some(Trouble::Stall { .. }) => {
            while !shared.ended.load(Ordering::SeqCst) && !connection.broken.load(Ordering::SeqCst) {
                std::thread::sleep(LOOK);
            }
        }
        _ => {
            let _ = connection.client.shutdown(Shutdown::Both);
            let _ = connection.server.shutdown(Shutdown::Both);
        }
    }
}
