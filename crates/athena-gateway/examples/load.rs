//! What the gateway costs, held against the SDK and the service in one run. Each part prints its figures.
//!
//! ```sh
//! cargo run --release -p athena-gateway --example load -- cpu           # CPU an image, gateway over SDK
//! cargo run --release -p athena-gateway --example load -- latency       # p99 at half load
//! cargo run --release -p athena-gateway --example load -- memory 200000 # flat memory
//! cargo run --release -p athena-gateway --example load -- idle 5000     # idle connections
//! ```
//!
//! Linux only: CPU and memory are read from `/proc`. The gateway and its callers run in this process, the
//! emulator in another, so that its work is not counted.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use athena_client::auth::OAuthClientCredentials;
use athena_client::{Client, Image};
use athena_gateway::{Gateway, Listener};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Callers at the same time.
const CALLERS: usize = 16;

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "emulator") {
        return emulator(&arguments[1..]);
    }
    let number = |default| match arguments.get(1) {
        Some(text) => text.parse(),
        None => Ok(default),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match arguments.first().map(String::as_str) {
        Some("cpu") => runtime.block_on(cpu(number(2_000)?)),
        Some("latency") => runtime.block_on(latency(number(2_000)?)),
        Some("memory") => runtime.block_on(memory(number(200_000)?)),
        Some("idle") => runtime.block_on(idle(number(5_000)?)),
        _ => Err("one of: cpu, latency, memory, idle".into()),
    }
}

/// The service's process: prints how to reach it, and ends with its standard input.
fn emulator(arguments: &[String]) -> Outcome {
    use athena_emulator::{Delay, Emulator, Faults};
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut builder = Emulator::builder();
        if let Some(delay) = arguments.first() {
            let delay = Duration::from_millis(delay.parse()?);
            builder = builder.faults(Faults::none().delay(Delay::Constant(delay)));
        }
        let emulator = builder.start().await?;
        let lines = [
            emulator.endpoint(),
            emulator.token_url().to_owned(),
            emulator.client_id().to_owned(),
            emulator.client_secret().to_owned(),
            emulator.audience().to_owned(),
            emulator.affiliate().to_owned(),
        ];
        println!(
            "{}\n{}",
            lines.join("\n"),
            emulator.ca_pem().replace('\n', "|")
        );
        tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await?;
        Ok(())
    })
}

/// A service in a process of its own, and a client of it.
struct Service {
    child: Child,
    client: Client,
}

impl Service {
    fn start(delay: Option<u64>) -> Outcome<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .arg("emulator")
            .args(delay.map(|delay| delay.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let lines = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
        let lines: Vec<String> = lines.take(7).collect::<Result<_, _>>()?;
        let [endpoint, token_url, id, secret, audience, affiliate, ca] = &lines[..] else {
            return Err("the emulator did not start".into());
        };
        let ca = ca.replace('|', "\n");
        let tokens = OAuthClientCredentials::builder(id, secret)
            .token_url(token_url)
            .audience(audience)
            .ca_certificate(&ca)
            .build()?;
        let client = Client::builder()
            .endpoint(endpoint)
            .token_source(tokens)
            .affiliate(affiliate.as_str())
            .ca_certificate(&ca)
            .no_proxy()
            .sha256(true)
            .timeout(Duration::from_secs(120))
            .build()?;
        Ok(Self { child, client })
    }

    async fn gateway(&self) -> Outcome<SocketAddr> {
        let gateway = Gateway::builder(self.client.clone()).open()?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let listener = Listener::tcp(listener)?;
        tokio::spawn(gateway.serve(vec![listener], std::future::pending()));
        Ok(address)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A caller on one connection.
struct Caller {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Caller {
    async fn connect(address: SocketAddr) -> Outcome<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            answer: Vec::with_capacity(8192),
        })
    }

    async fn classify(&mut self, query: &str, image: &[u8]) -> Outcome {
        let head = format!(
            "POST /v1/classify{query} HTTP/1.1\r\nHost: localhost\r\n\
             Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
            image.len()
        );
        self.stream.write_all(head.as_bytes()).await?;
        self.stream.write_all(image).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err("the connection ended".into());
            }
            let text = String::from_utf8_lossy(&self.answer);
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                continue;
            };
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            if body.len() < length.ok_or("no length")?.parse()? {
                continue;
            }
            return match head.starts_with("HTTP/1.1 200") {
                true => Ok(()),
                false => Err(text.into_owned().into()),
            };
        }
    }
}

fn pictures() -> Outcome<Vec<Vec<u8>>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/images");
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "jpg" || extension == "png")
        {
            pictures.push(std::fs::read(path)?);
        }
    }
    Ok(pictures)
}

/// Sends images through the gateway on connections that are kept; gives the times they took.
async fn through_the_gateway(
    address: SocketAddr,
    callers: usize,
    images: usize,
    query: &'static str,
    pictures: &[Vec<u8>],
) -> Outcome<Vec<Duration>> {
    let work = (0..callers).map(|caller| {
        let pictures = pictures.to_vec();
        tokio::spawn(async move {
            let mut connection = Caller::connect(address).await?;
            let mut times = Vec::new();
            for number in (caller..images).step_by(callers) {
                let started = Instant::now();
                connection
                    .classify(query, &pictures[number % pictures.len()])
                    .await?;
                times.push(started.elapsed());
            }
            Outcome::Ok(times)
        })
    });
    let mut times = Vec::new();
    for caller in futures_util::future::join_all(work).await {
        times.extend(caller??);
    }
    times.sort();
    Ok(times)
}

async fn through_the_sdk(client: &Client, images: usize, pictures: &[Vec<u8>]) -> Outcome {
    let session = client.session().max_in_flight(512).open()?;
    let mut results = stream::iter(0..images)
        .map(|number| {
            let image = Image::from_bytes(pictures[number % pictures.len()].clone());
            let session = &session;
            async move { session.submit(image).await?.await }
        })
        .buffer_unordered(CALLERS);
    while let Some(result) = results.next().await {
        result?;
    }
    drop(results);
    session.close().await?;
    Ok(())
}

async fn cpu(images: usize) -> Outcome {
    let service = Service::start(None)?;
    let address = service.gateway().await?;
    let pictures = pictures()?;
    let mut sums = [0.0; 2];
    // In turns, so that a machine that changes its speed changes both.
    let rounds = 5;
    for round in 0..=rounds {
        let images = images / rounds;
        let before = cpu_seconds()?;
        through_the_sdk(&service.client, images, &pictures).await?;
        let between = cpu_seconds()?;
        through_the_gateway(address, CALLERS, images, "", &pictures).await?;
        let after = cpu_seconds()?;
        // The first round warms up.
        if round > 0 {
            sums[0] += between - before;
            sums[1] += after - between;
        }
    }
    println!(
        "SDK      {:.3} ms of CPU an image",
        sums[0] * 1e3 / images as f64
    );
    println!(
        "gateway  {:.3} ms, its callers included",
        sums[1] * 1e3 / images as f64
    );
    println!("ratio    {:.3}", sums[1] / sums[0]);
    Ok(())
}

async fn latency(images: usize) -> Outcome {
    const DELAY: u64 = 100;
    let service = Service::start(Some(DELAY))?;
    let address = service.gateway().await?;
    let pictures = pictures()?;
    // How much goes through at most, then half of it: images that start at their time, come what may.
    let started = Instant::now();
    through_the_gateway(address, 128, images / 2, "", &pictures).await?;
    let most = (images / 2) as f64 / started.elapsed().as_secs_f64();
    let gap = Duration::from_secs_f64(2.0 / most);
    let start = tokio::time::Instant::now();
    let work = (0..images).map(|number| {
        let picture = pictures[number % pictures.len()].clone();
        tokio::spawn(async move {
            tokio::time::sleep_until(start + gap * number as u32).await;
            let started = Instant::now();
            let mut caller = Caller::connect(address).await?;
            caller.classify("", &picture).await?;
            Outcome::Ok(started.elapsed())
        })
    });
    let mut times = Vec::new();
    for time in futures_util::future::join_all(work).await {
        times.push(time??);
    }
    times.sort();
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)];
    println!("{most:.0} images a second at most; at half of that:");
    println!(
        "p50 {:?}, p99 {:?}; the service's own delay {DELAY} ms",
        at(0.5),
        at(0.99)
    );
    println!("ratio {:.2}", at(0.99).as_secs_f64() * 1e3 / DELAY as f64);
    Ok(())
}

async fn memory(requests: usize) -> Outcome {
    let service = Service::start(None)?;
    let address = service.gateway().await?;
    // Hashes alone: many requests in little time, through everything but the decoders.
    let pictures = pictures()?;
    let step = requests / 10;
    for round in 1..=10 {
        through_the_gateway(address, CALLERS, step, "?hash_only=true", &pictures).await?;
        println!(
            "{:>8} requests: {:>6} KiB resident",
            round * step,
            resident_kib()?
        );
    }
    Ok(())
}

async fn idle(connections: usize) -> Outcome {
    let service = Service::start(None)?;
    let address = service.gateway().await?;
    let pictures = pictures()?;
    through_the_gateway(address, CALLERS, 64, "", &pictures).await?;
    let before = resident_kib()?;
    let mut idle = Vec::with_capacity(connections);
    for _ in 0..connections {
        idle.push(Caller::connect(address).await?);
    }
    let used = cpu_seconds()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let used = cpu_seconds()? - used;
    let times = through_the_gateway(address, CALLERS, 200, "", &pictures).await?;
    let each = resident_kib()?.saturating_sub(before) as f64 / connections as f64;
    println!(
        "{connections} idle connections: {each:.1} KiB each, both ends, {:.1} ms of CPU a second",
        used * 200.0
    );
    println!(
        "200 images beside them: p99 {:?}",
        times[times.len() * 99 / 100]
    );
    Ok(())
}

/// Processor time of this process.
fn cpu_seconds() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no fields")?.1;
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(str::parse::<f64>);
    // USER_HZ is 100 on every Linux that there is.
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}

fn resident_kib() -> Outcome<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    Ok(line
        .ok_or("no VmRSS")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?)
}
