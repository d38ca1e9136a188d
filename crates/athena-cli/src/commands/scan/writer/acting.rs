//! Actions that are due, under way and taken.

use std::io;

use athena_outcome::{Record, RecordAction};

use super::super::action::intents::Intent;
use super::super::action::{Acted, Job};
use super::super::journal::{Span, content_of};
use super::super::sink::Sink;
use super::{Row, Writing};

/// Actions that may be due or under way.
const MOST_ACTIONS: usize = 1024;

impl Writing {
    /// Starts actions; waits while too many are under way.
    pub(super) fn begin(&mut self, jobs: Vec<Job>) -> io::Result<()> {
        if let (Sink::Kept(kept), Some(actions)) = (&mut self.sink, &self.actions) {
            // One that has a line is found by its line.
            let new = jobs.iter().filter(|job| job.replaces.is_none());
            let records: Vec<&Record> = new.map(|job| &job.record).collect();
            kept.intents.note(actions.kind(), &records)?;
        }
        for job in jobs {
            if let Some(actions) = &self.actions {
                actions.start(job);
                self.under_way += 1;
            }
            while self.under_way >= MOST_ACTIONS {
                self.wait_for_an_action()?;
            }
        }
        Ok(())
    }

    pub(super) fn wait_for_an_action(&mut self) -> io::Result<()> {
        match self.acted.recv() {
            Ok(first) => {
                let acted = std::iter::once(first).chain(self.acted.try_iter());
                let acted = acted.collect();
                self.have_acted(acted)
            }
            Err(_) => Err(io::Error::other("the actions were lost")),
        }
    }

    pub(super) fn have_acted(&mut self, acted: Vec<Acted>) -> io::Result<()> {
        self.under_way -= acted.len();
        if let (Some(log), Some(actions), false) = (&mut self.log, &self.actions, acted.is_empty())
        {
            for acted in &acted {
                log.write(acted, actions.kind())?;
            }
            log.sync()?;
        }
        let mut rows = Vec::with_capacity(acted.len());
        for Acted { job, taken } in acted {
            if let Err(why) = taken {
                let file = crate::failure::one_line(&job.file.to_string_lossy());
                tracing::warn!(file, "--on-match: {why}");
            }
            rows.push(Row {
                path: job.path,
                content: job.content,
                record: job.record,
                replaces: job.replaces,
            });
        }
        self.write(rows)
    }

    /// Actions that an earlier run has not come to, has failed at, or has died in.
    pub(super) fn take_up(&mut self, due: Vec<Span>, intents: Vec<Intent>) -> io::Result<()> {
        for span in due {
            let text = self.sink.read(span)?;
            let record: Record = serde_json::from_slice(&text)?;
            if let Some(job) = self.job(record, Some(span)) {
                self.begin(vec![job])?;
            }
        }
        for Intent { action, mut record } in intents {
            if self.actions.is_none() {
                record.action = Some(RecordAction {
                    kind: action,
                    to: None,
                    error: Some("it was stopped; --resume with --on-match takes it again".into()),
                });
                let path = self.keys.of_record(&record).unwrap_or_default();
                self.write(vec![Row {
                    path,
                    content: content_of(&record),
                    record,
                    replaces: None,
                }])?;
            } else if let Some(job) = self.job(record, None) {
                self.begin(vec![job])?;
            }
        }
        Ok(())
    }

    fn job(&self, mut record: Record, replaces: Option<Span>) -> Option<Job> {
        record.action = None;
        Some(Job {
            path: self.keys.of_record(&record)?,
            content: content_of(&record),
            file: match &record.path {
                Some(path) => path.to_path()?,
                None => record.url.as_ref()?.into(),
            },
            record,
            replaces,
        })
    }
}
