//! The times of one job, read from its journal line; the form is told in [`crate::timeline`]. Pure; owns no state.

/// When a job was where. All times are microseconds of the machine's monotonic clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    /// When the client began with it.
    pub start: u64,
    /// When it was done.
    pub end: u64,
    /// The slots that it had, one after the other.
    pub stays: Vec<Stay>,
    /// What it did without a slot: waiting for one, most of all.
    pub outside: Vec<Span>,
}

/// A slot held for a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stay {
    /// The host, as the journal names it.
    pub host: String,
    /// The slot's number.
    pub slot: u32,
    /// From when on.
    pub from: u64,
    /// Until when.
    pub to: u64,
    /// What the job did meanwhile, in order.
    pub steps: Vec<Span>,
}

/// Something that took a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// What.
    pub step: String,
    /// From when on.
    pub from: u64,
    /// Until when.
    pub to: u64,
}

impl Span {
    /// Its microseconds.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.to - self.from
    }
}

impl Times {
    /// How long the job took, in microseconds.
    #[must_use]
    pub fn duration(&self) -> u64 {
        self.end - self.start
    }

    /// Reads a journal's field; none when it is not whole. Times that run backwards are taken for standing still, so that what comes of it
    /// is always in order.
    #[must_use]
    pub fn parse(field: &str) -> Option<Self> {
        let mut words = field.split(' ');
        let start: u64 = words.next()?.parse().ok()?;
        let mut reader = Reader {
            times: Self {
                start,
                end: start,
                stays: Vec::new(),
                outside: Vec::new(),
            },
            stay: None,
            step: None,
        };
        for word in words {
            let (name, offset) = word.rsplit_once('+')?;
            let at = start.checked_add(offset.parse().ok()?)?;
            let at = at.max(reader.times.end);
            reader.times.end = at;
            reader.close_step(at);
            match name.strip_prefix('@') {
                Some(place) => {
                    reader.close_stay(at);
                    let (host, slot) = place.rsplit_once('/')?;
                    reader.stay = Some(Stay {
                        host: host.to_owned(),
                        slot: slot.parse().ok()?,
                        from: at,
                        to: at,
                        steps: Vec::new(),
                    });
                }
                None if name == "free" => reader.close_stay(at),
                None if name == "end" => {
                    reader.close_stay(at);
                    return Some(reader.times);
                }
                None => reader.step = Some((name.to_owned(), at)),
            }
        }
        None
    }
}

/// What is open while a field is read.
struct Reader {
    times: Times,
    stay: Option<Stay>,
    step: Option<(String, u64)>,
}

impl Reader {
    fn close_step(&mut self, to: u64) {
        let Some((step, from)) = self.step.take() else {
            return;
        };
        let span = Span { step, from, to };
        match &mut self.stay {
            Some(stay) => stay.steps.push(span),
            None => self.times.outside.push(span),
        }
    }

    fn close_stay(&mut self, to: u64) {
        if let Some(stay) = self.stay.take() {
            self.times.stays.push(Stay { to, ..stay });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(step: &str, from: u64, to: u64) -> Span {
        let step = step.to_owned();
        Span { step, from, to }
    }

    #[test]
    fn a_job_that_went_to_two_places() {
        let field = "1000 blocked+1 @box:3632/2+5 scan+6 connect+9 free+20 blocked+21 @localhost/0+30 compile+30 free+90 end+95";
        let times = Times::parse(field).expect("it is whole");
        assert_eq!((times.start, times.end, times.duration()), (1000, 1095, 95));
        let first = Stay {
            host: "box:3632".to_owned(),
            slot: 2,
            from: 1005,
            to: 1020,
            steps: vec![span("scan", 1006, 1009), span("connect", 1009, 1020)],
        };
        assert_eq!(times.stays[0], first);
        assert_eq!(times.stays[1].host, "localhost");
        let waited = [span("blocked", 1001, 1005), span("blocked", 1021, 1030)];
        assert_eq!(times.outside, waited);
    }

    #[test]
    fn a_job_without_a_slot_is_outside() {
        let times = Times::parse("5 compile+1 free+7 end+8").expect("it is whole");
        assert_eq!(times.outside, [span("compile", 6, 12)]);
        assert!(times.stays.is_empty());
    }

    #[test]
    fn times_that_run_backwards_stand_still() {
        let times = Times::parse("10 @a/0+9 scan+3 compile+1 free+2 end+20").expect("it is whole");
        assert_eq!((times.stays[0].from, times.stays[0].to), (19, 19));
        assert_eq!(times.end, 30);
    }

    #[test]
    fn what_is_not_whole_is_none() {
        let whole = "1000 blocked+1 @box:3632/2+5 scan+6 free+20 end+25";
        for length in 0..whole.len() - "+25".len() {
            assert_eq!(Times::parse(&whole[..length]), None, "{length}");
        }
        for bad in [
            "x end+1",
            "1 end",
            "1 @a+1 end+2",
            "1 end+99999999999999999999",
            "18446744073709551615 end+1",
        ] {
            assert_eq!(Times::parse(bad), None, "{bad}");
        }
    }
}
