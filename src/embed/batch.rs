//! Dynamic batching: two lanes, queries and ingest, each of texts and pictures, and one thread that owns the
//! towers. It takes what waits, up to `max_batch` of one lane and kind; if more pictures are still being
//! decoded it waits for them up to `max_wait`; it runs the batch and answers each item.
//!
//! Texts of queries have every second turn, so that one waits for at most one batch of anything else.
//! Of the other turns pictures of queries have every second, and within the ingest texts and pictures
//! take turns. A turn that nobody uses is the next one's: whoever waits moves on.
//!
//! Source of the idea: text-embeddings-inference. Invariant: every job that is taken is answered,
//! also when the model panics; jobs whose caller has gone are dropped unrun.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::Lane;
use super::runner::Runner;
use super::towers::Towers;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::preprocess::{Crop, Signature, Transform};

/// The answer to one item.
pub(super) type Answer = oneshot::Sender<Result<Vec<f32>>>;

struct Job<T> {
    input: T,
    answer: Answer,
}

/// What a decoder brings.
pub(super) enum Picture {
    /// For the model's own vectors.
    Crop(Crop),
    /// For features of a signature.
    Signature(Box<Signature>),
}

/// What waits in a lane.
#[derive(Default)]
struct Waiting {
    texts: VecDeque<Job<Vec<u32>>>,
    images: VecDeque<Job<Picture>>,
    /// Pictures handed to the decoders and not yet here.
    decoding: usize,
}

#[derive(Default)]
struct Lanes {
    queries: Waiting,
    ingest: Waiting,
    /// The last batch was of texts of queries.
    after_text_query: bool,
    /// The last batch that was not of texts of queries was of pictures of queries.
    after_image_query: bool,
    /// The last batch of the ingest was of texts.
    after_ingest_texts: bool,
    closed: bool,
}

impl Lanes {
    fn of(&mut self, lane: Lane) -> &mut Waiting {
        match lane {
            Lane::Queries => &mut self.queries,
            Lane::Ingest => &mut self.ingest,
        }
    }

    /// Whose turn it is.
    fn turn(&self) -> Option<(Lane, Kind)> {
        let ingest = !self.ingest.texts.is_empty() || !self.ingest.images.is_empty();
        let (texts, images) = (!self.queries.texts.is_empty(), !self.queries.images.is_empty());
        if texts && !(self.after_text_query && (images || ingest)) {
            Some((Lane::Queries, Kind::Text))
        } else if images && !(self.after_image_query && ingest) {
            Some((Lane::Queries, Kind::Picture))
        } else if !self.ingest.texts.is_empty() && (!self.after_ingest_texts || self.ingest.images.is_empty())
        {
            Some((Lane::Ingest, Kind::Text))
        } else {
            ingest.then_some((Lane::Ingest, Kind::Picture))
        }
    }

    fn took(&mut self, turn: (Lane, Kind)) {
        self.after_text_query = turn == (Lane::Queries, Kind::Text);
        match turn {
            (Lane::Queries, Kind::Text) => {}
            (Lane::Queries, Kind::Picture) => self.after_image_query = true,
            (Lane::Ingest, kind) => {
                self.after_image_query = false;
                self.after_ingest_texts = kind == Kind::Text;
            }
        }
    }

    /// Something waits that goes before a batch of `lane` that is not full yet.
    fn is_urgent(&self, lane: Lane) -> bool {
        !self.queries.texts.is_empty() || lane == Lane::Ingest && !self.queries.images.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Picture,
}

/// The queue in front of the towers. How much may enter is bounded by the permits of `mod.rs`.
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    wake: Condvar,
    /// Smoothed microseconds of one text and of one picture, for retry hints.
    text_micros: AtomicU64,
    image_micros: AtomicU64,
}

impl Queue {
    pub fn new() -> Queue {
        Queue {
            lanes: Mutex::default(),
            wake: Condvar::new(),
            text_micros: AtomicU64::new(1_000),
            image_micros: AtomicU64::new(10_000),
        }
    }

    pub fn push_text(&self, lane: Lane, input: Vec<u32>, answer: Answer) {
        self.lanes.lock().of(lane).texts.push_back(Job { input, answer });
        self.wake.notify_one();
    }

    /// Announce a picture that a decoder will bring, by [`Queue::push_image`] or [`Queue::drop_image`].
    pub fn expect_image(&self, lane: Lane) {
        self.lanes.lock().of(lane).decoding += 1;
    }

    pub fn push_image(&self, lane: Lane, input: Picture, answer: Answer) {
        let mut lanes = self.lanes.lock();
        let waiting = lanes.of(lane);
        waiting.images.push_back(Job { input, answer });
        waiting.decoding -= 1;
        self.wake.notify_one();
    }

    /// The announced picture does not come: it did not decode, or its caller has gone.
    pub fn drop_image(&self, lane: Lane) {
        self.lanes.lock().of(lane).decoding -= 1;
        self.wake.notify_one();
    }

    /// End the worker after the batch that it runs.
    pub fn close(&self) {
        self.lanes.lock().closed = true;
        self.wake.notify_all();
    }

    /// Seconds after which `texts` and `images` waiting items should be done, 1 to 60.
    pub fn drain_secs(&self, texts: usize, images: usize) -> u32 {
        let micros = self.text_micros.load(Ordering::Relaxed) * texts as u64
            + self.image_micros.load(Ordering::Relaxed) * images as u64;
        micros.div_ceil(1_000_000).clamp(1, 60) as u32
    }

    /// The next batch, or `None` once the queue is closed.
    fn next_batch(&self, max_batch: usize, max_wait: Duration) -> Option<(Lane, Batch)> {
        let mut lanes = self.lanes.lock();
        loop {
            if lanes.closed {
                return None;
            }
            let Some(turn) = lanes.turn() else {
                self.wake.wait(&mut lanes);
                continue;
            };
            let lane = turn.0;
            if turn.1 == Kind::Text {
                lanes.took(turn);
                if let Some(jobs) = take(&mut lanes.of(lane).texts, max_batch) {
                    return Some((lane, Batch::Texts(jobs)));
                }
                continue;
            }
            let deadline = Instant::now() + max_wait;
            while lanes.of(lane).images.len() < max_batch
                && !lanes.is_urgent(lane)
                && !lanes.closed
                && lanes.of(lane).decoding > 0
                && !self.wake.wait_until(&mut lanes, deadline).timed_out()
            {}
            if lanes.closed {
                return None;
            }
            lanes.took(turn);
            if let Some(jobs) = take(&mut lanes.of(lane).images, max_batch) {
                return Some((lane, Batch::Images(jobs)));
            }
        }
    }
}

enum Batch {
    Texts(Vec<Job<Vec<u32>>>),
    Images(Vec<Job<Picture>>),
}

/// Up to `max` jobs whose caller still waits; `None` if there are none.
fn take<T>(lane: &mut VecDeque<Job<T>>, max: usize) -> Option<Vec<Job<T>>> {
    let mut jobs = Vec::with_capacity(max.min(lane.len()));
    while jobs.len() < max
        && let Some(job) = lane.pop_front()
    {
        if !job.answer.is_closed() {
            jobs.push(job);
        }
    }
    (!jobs.is_empty()).then_some(jobs)
}

/// What the worker thread owns.
pub(super) struct Worker {
    pub queue: Arc<Queue>,
    pub towers: Runner<Towers>,
    pub transform: Transform,
    pub max_batch: usize,
    pub max_wait: Duration,
    pub metrics: Metrics,
}

impl Worker {
    /// Run until the queue is closed.
    pub fn run(mut self) {
        while let Some((lane, batch)) = self.queue.next_batch(self.max_batch, self.max_wait) {
            let started = Instant::now();
            // Told once they are counted: who reads the metrics after an answer finds it there.
            let mut answers: Vec<Box<dyn FnOnce()>> = Vec::new();
            let (kind, count, average) = match batch {
                Batch::Texts(mut jobs) => {
                    let count = jobs.len();
                    jobs.sort_by_key(|job| job.input.len());
                    for group in by_length(jobs) {
                        let ids: Vec<&[u32]> = group.iter().map(|job| job.input.as_slice()).collect();
                        let result =
                            self.towers.run(ids.len(), |towers, some| towers.embed_tokens(&ids[some]));
                        answers.push(Box::new(move || answer(group, result)));
                    }
                    ("text", count, &self.queue.text_micros)
                }
                Batch::Images(jobs) => {
                    let side = self.transform.side();
                    let mut pixels = Vec::with_capacity(jobs.len() * 3 * side * side);
                    let count = jobs.len();
                    let mut crops = Vec::with_capacity(count);
                    for job in jobs {
                        match &job.input {
                            Picture::Crop(crop) => {
                                self.transform.normalise(crop, &mut pixels);
                                crops.push(job);
                            }
                            Picture::Signature(signature) => {
                                let levels = self.transform.levels();
                                let result = self
                                    .towers
                                    .run(1, |towers, _| Ok(vec![towers.signature(signature, levels)?]));
                                answers.push(Box::new(move || answer(vec![job], result)));
                            }
                        }
                    }
                    if !crops.is_empty() {
                        let picture = 3 * side * side;
                        let result = self.towers.run(crops.len(), |towers, some| {
                            towers.embed_pixels(&pixels[some.start * picture..some.end * picture])
                        });
                        answers.push(Box::new(move || answer(crops, result)));
                    }
                    ("picture", count, &self.queue.image_micros)
                }
            };
            let took = started.elapsed();
            self.metrics.ran(lane.name(), kind, count, took);
            let each = took.as_micros() as u64 / count.max(1) as u64;
            let before = average.load(Ordering::Relaxed);
            average.store((before * 7 + each) / 8, Ordering::Relaxed);
            answers.into_iter().for_each(|answer| answer());
        }
    }
}

/// Sorted texts cut into groups in which nobody is padded to more than twice his length.
fn by_length(jobs: Vec<Job<Vec<u32>>>) -> Vec<Vec<Job<Vec<u32>>>> {
    let mut groups: Vec<Vec<Job<Vec<u32>>>> = Vec::new();
    for job in jobs {
        match groups.last_mut() {
            Some(group) if group.first().is_some_and(|first| first.input.len() * 2 >= job.input.len()) => {
                group.push(job);
            }
            _ => groups.push(vec![job]),
        }
    }
    groups
}

fn answer<T>(jobs: Vec<Job<T>>, result: Result<Vec<Vec<f32>>>) {
    // A caller that has gone in the meantime makes `send` fail: nothing to do.
    match result {
        Ok(vectors) => {
            for (job, vector) in jobs.into_iter().zip(vectors) {
                let _ = job.answer.send(Ok(vector));
            }
        }
        Err(error) => {
            for job in jobs {
                let _ = job.answer.send(Err(error.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(queue: &Queue, lane: Lane, length: usize) -> oneshot::Receiver<Result<Vec<f32>>> {
        let (send, receive) = oneshot::channel();
        queue.push_text(lane, vec![1; length], send);
        receive
    }

    fn picture(queue: &Queue, lane: Lane, transform: &Transform) -> oneshot::Receiver<Result<Vec<f32>>> {
        let (send, receive) = oneshot::channel();
        queue.expect_image(lane);
        let crop = transform.crop_decoded(&crate::preprocess::RgbImage::new(16, 16));
        queue.push_image(lane, Picture::Crop(crop), send);
        receive
    }

    fn kind(batch: Option<(Lane, Batch)>) -> (Lane, Kind, usize) {
        match batch {
            Some((lane, Batch::Texts(jobs))) => (lane, Kind::Text, jobs.len()),
            Some((lane, Batch::Images(jobs))) => (lane, Kind::Picture, jobs.len()),
            None => panic!("closed"),
        }
    }

    #[test]
    fn a_text_waits_for_at_most_one_batch_of_pictures_and_pictures_move_on() {
        let transform = Transform::parse(br#"{"size": 16, "crop_size": 16}"#).unwrap();
        let queue = Queue::new();
        let (queries, ingest) = (Lane::Queries, Lane::Ingest);
        let pictures: Vec<_> = (0..10).map(|_| picture(&queue, ingest, &transform)).collect();
        let first = text(&queue, queries, 3);
        let next = || kind(queue.next_batch(4, Duration::ZERO));
        assert_eq!(next(), (queries, Kind::Text, 1));
        let second = text(&queue, queries, 3);
        assert_eq!(next(), (ingest, Kind::Picture, 4));
        assert_eq!(next(), (queries, Kind::Text, 1));
        assert_eq!(next(), (ingest, Kind::Picture, 4));
        assert_eq!(next(), (ingest, Kind::Picture, 2));
        drop((pictures, first, second));
    }

    #[test]
    fn texts_of_queries_have_every_second_turn_and_every_lane_and_kind_moves_on() {
        let transform = Transform::parse(br#"{"size": 16, "crop_size": 16}"#).unwrap();
        let queue = Queue::new();
        let mut waiting = Vec::new();
        for lane in [Lane::Ingest, Lane::Queries] {
            for _ in 0..8 {
                waiting.extend([text(&queue, lane, 3), picture(&queue, lane, &transform)]);
            }
        }
        let (queries, ingest) = (Lane::Queries, Lane::Ingest);
        let next = || kind(queue.next_batch(2, Duration::ZERO));
        for expected in [
            (queries, Kind::Text, 2),
            (queries, Kind::Picture, 2),
            (queries, Kind::Text, 2),
            (ingest, Kind::Text, 2),
            (queries, Kind::Text, 2),
            (queries, Kind::Picture, 2),
            (queries, Kind::Text, 2),
            (ingest, Kind::Picture, 2),
            (queries, Kind::Picture, 2),
            (ingest, Kind::Text, 2),
            (queries, Kind::Picture, 2),
            (ingest, Kind::Picture, 2),
            (ingest, Kind::Text, 2),
        ] {
            assert_eq!(next(), expected);
        }
    }

    #[test]
    fn jobs_whose_caller_has_gone_are_not_run() {
        let queue = Queue::new();
        drop(text(&queue, Lane::Queries, 3));
        let kept = text(&queue, Lane::Queries, 4);
        drop(text(&queue, Lane::Queries, 5));
        assert_eq!(kind(queue.next_batch(8, Duration::ZERO)), (Lane::Queries, Kind::Text, 1));
        drop(kept);
    }

    #[test]
    fn nobody_is_padded_to_more_than_twice_his_length() {
        let jobs: Vec<_> = [2, 3, 4, 5, 9, 10, 11, 30]
            .map(|length| Job { input: vec![0; length], answer: oneshot::channel().0 })
            .into();
        let lengths: Vec<Vec<usize>> =
            by_length(jobs).iter().map(|g| g.iter().map(|j| j.input.len()).collect()).collect();
        assert_eq!(lengths, [vec![2, 3, 4], vec![5, 9, 10], vec![11], vec![30]]);
    }

    #[test]
    fn the_retry_hint_grows_with_the_queue_and_stays_in_bounds() {
        let queue = Queue::new();
        assert_eq!(queue.drain_secs(0, 0), 1);
        assert_eq!(queue.drain_secs(0, 500), 5);
        assert_eq!(queue.drain_secs(0, 1_000_000), 60);
    }
}
