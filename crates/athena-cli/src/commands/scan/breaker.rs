//! When a run is hopeless, and who is to blame.

use std::str::FromStr;

/// A share of failures says nothing before so many images.
const SAMPLE: u64 = 100;

/// `--max-failures`: how many images may fail.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum MaxFailures {
    Count(u64),
    /// Of the images that this run has come to, in percent.
    Percent(f64),
}

impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = match text.strip_suffix('%') {
            Some(number) => (number.trim().parse().ok())
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent),
            None => text.parse().ok().map(Self::Count),
        };
        parsed.ok_or_else(|| "expected a number such as 50, or a share such as 5%".to_owned())
    }
}

/// What became of one image, as far as it says something about the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The service answered for it, however the image itself fared.
    Answered { failed: bool },
    /// It failed, or was finished, without the service.
    Alone { failed: bool },
    /// The service failed it, and its line says so.
    FailedByService,
    /// It is unfinished by the service's fault, or the network's.
    Service,
    /// It is unfinished since its file could not be read, as it seems not by the file's fault.
    Storage,
}

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trip {
    Service,
    Storage,
    /// More than `--max-failures`.
    Failures {
        failed: u64,
        done: u64,
        /// Whether most of them are the service's.
        by_service: bool,
    },
}

/// Counts, and says stop.
#[derive(Debug)]
pub(super) struct Breaker {
    /// So many in a row are too many.
    limit: u64,
    most: Option<MaxFailures>,
    service_in_a_row: u64,
    storage_in_a_row: u64,
    answered: u64,
    done: u64,
    failed: u64,
    by_service: u64,
    by_storage: u64,
}

impl Breaker {
    pub(super) fn new(limit: u64, most: Option<MaxFailures>) -> Self {
        Self {
            limit,
            most,
            service_in_a_row: 0,
            storage_in_a_row: 0,
            answered: 0,
            done: 0,
            failed: 0,
            by_service: 0,
            by_storage: 0,
        }
    }

    pub(super) fn see(&mut self, event: Event) -> Option<Trip> {
        self.done += 1;
        let failed = match event {
            Event::Answered { failed } => {
                self.answered += 1;
                self.service_in_a_row = 0;
                self.storage_in_a_row = 0;
                failed
            }
            Event::Alone { failed } => failed,
            Event::FailedByService | Event::Service => {
                self.service_in_a_row += 1;
                self.storage_in_a_row = 0;
                self.by_service += 1;
                true
            }
            Event::Storage => {
                self.storage_in_a_row += 1;
                self.by_storage += 1;
                true
            }
        };
        self.failed += u64::from(failed);
        if self.service_in_a_row >= self.limit {
            Some(Trip::Service)
        } else if self.storage_in_a_row >= self.limit {
            Some(Trip::Storage)
        } else if self.done >= SAMPLE || matches!(self.most, Some(MaxFailures::Count(_))) {
            self.too_many()
        } else {
            None
        }
    }

    /// At the end of the input: whether the run came to nothing, or to too little.
    pub(super) fn at_the_end(&self, unfinished_by_service: bool) -> Option<Trip> {
        if unfinished_by_service && self.answered == 0 {
            Some(Trip::Service)
        } else if self.by_storage > 0 && self.by_storage == self.done {
            Some(Trip::Storage)
        } else {
            self.too_many()
        }
    }

    fn too_many(&self) -> Option<Trip> {
        let over = match self.most? {
            MaxFailures::Count(most) => self.failed > most,
            MaxFailures::Percent(percent) => {
                self.failed as f64 * 100.0 > percent * self.done as f64
            }
        };
        over.then_some(Trip::Failures {
            failed: self.failed,
            done: self.done,
            by_service: self.by_service * 2 > self.failed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(breaker: &mut Breaker, events: &[(Event, u64)]) -> Option<Trip> {
        let mut trips = events
            .iter()
            .flat_map(|(event, times)| (0..*times).map(move |_| *event))
            .map(|event| breaker.see(event));
        trips.find_map(|trip| trip)
    }

    const OK: Event = Event::Answered { failed: false };

    #[test]
    fn an_answer_gives_new_hope_and_a_broken_file_none() {
        let mut breaker = Breaker::new(10, None);
        let alone = Event::Alone { failed: true };
        let events = [
            (Event::Service, 9),
            (OK, 1),
            (Event::Service, 5),
            (alone, 50),
            (Event::FailedByService, 4),
        ];
        assert_eq!(see(&mut breaker, &events), None);
        assert_eq!(breaker.see(Event::Service), Some(Trip::Service));
    }

    #[test]
    fn storage_has_a_row_of_its_own() {
        let mut breaker = Breaker::new(3, None);
        assert_eq!(see(&mut breaker, &[(Event::Storage, 2), (OK, 1)]), None);
        let trip = see(&mut breaker, &[(Event::Storage, 3)]);
        assert_eq!(trip, Some(Trip::Storage));
    }

    #[test]
    fn a_count_stops_at_once_and_a_share_after_a_sample() {
        let failed = Event::Alone { failed: true };
        let mut count = Breaker::new(1000, Some(MaxFailures::Count(2)));
        assert_eq!(see(&mut count, &[(failed, 2)]), None);
        let trip = Trip::Failures {
            failed: 3,
            done: 3,
            by_service: false,
        };
        assert_eq!(count.see(failed), Some(trip));
        let mut share = Breaker::new(1000, Some(MaxFailures::Percent(10.0)));
        assert_eq!(see(&mut share, &[(failed, 11), (OK, 88)]), None);
        assert!(matches!(
            share.see(OK),
            Some(Trip::Failures {
                failed: 11,
                done: 100,
                ..
            })
        ));
        let mut small = Breaker::new(1000, Some(MaxFailures::Percent(10.0)));
        assert_eq!(see(&mut small, &[(failed, 2), (OK, 8)]), None);
        assert!(small.at_the_end(false).is_some());
    }

    #[test]
    fn a_run_without_any_answer_is_the_services_fault() {
        let mut breaker = Breaker::new(32, None);
        assert_eq!(see(&mut breaker, &[(Event::Service, 3)]), None);
        assert_eq!(breaker.at_the_end(true), Some(Trip::Service));
        breaker.see(OK);
        assert_eq!(breaker.at_the_end(true), None);
    }

    #[test]
    fn limits_are_read() {
        assert_eq!("50".parse(), Ok(MaxFailures::Count(50)));
        assert_eq!("2.5%".parse(), Ok(MaxFailures::Percent(2.5)));
        for text in ["", "-1", "101%", "%", "NaN%", "many"] {
            assert!(text.parse::<MaxFailures>().is_err(), "{text}");
        }
    }
}
