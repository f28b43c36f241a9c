//! Who is next. Of several machines each has its turn, however many connections one of them has; of one machine, whoever came first. Owns the order.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Those who wait, in a line for each machine.
#[derive(Debug)]
pub(super) struct Queue<K, T> {
    lines: HashMap<K, VecDeque<(u64, T)>>,
    /// The machines that wait, whose turn is next in front.
    turns: VecDeque<K>,
    next: u64,
    length: usize,
}

impl<K: Copy + Eq + Hash, T> Queue<K, T> {
    /// Nobody waits.
    pub(super) fn new() -> Self {
        Self {
            lines: HashMap::new(),
            turns: VecDeque::new(),
            next: 0,
            length: 0,
        }
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// How many of one machine wait.
    pub(super) fn of(&self, key: K) -> usize {
        self.lines.get(&key).map_or(0, VecDeque::len)
    }

    /// How many of the machine wait that has most waiting.
    pub(super) fn longest(&self) -> usize {
        self.lines.values().map(VecDeque::len).max().unwrap_or(0)
    }

    /// How many will have their turn before one more of this machine has.
    pub(super) fn ahead_of(&self, key: K) -> usize {
        let own = self.of(key);
        let others = self.lines.iter().filter(|(other, _)| **other != key);
        own + others
            .map(|(_, line)| line.len().min(own + 1))
            .sum::<usize>()
    }

    /// Adds somebody; the number is for [`Queue::remove`].
    pub(super) fn push(&mut self, key: K, waiting: T) -> u64 {
        let number = self.next;
        self.next += 1;
        self.length += 1;
        let line = self.lines.entry(key).or_default();
        if line.is_empty() {
            self.turns.push_back(key);
        }
        line.push_back((number, waiting));
        number
    }

    /// Takes whoever is next.
    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.turns.pop_front()?;
        let line = self.lines.get_mut(&key)?;
        let (_, waiting) = line.pop_front()?;
        self.length -= 1;
        match line.is_empty() {
            true => _ = self.lines.remove(&key),
            false => self.turns.push_back(key),
        }
        Some(waiting)
    }

    /// Takes somebody out who waits no longer; nothing if it had its turn.
    pub(super) fn remove(&mut self, key: K, number: u64) -> Option<T> {
        let line = self.lines.get_mut(&key)?;
        // Numbers rise from front to back.
        let at = line
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        let (_, waiting) = line.remove(at)?;
        self.shortened(key);
        Some(waiting)
    }

    /// Takes out whoever came last of the machine that has most waiting, if those are more than `than`.
    pub(super) fn pop_longest(&mut self, than: usize) -> Option<T> {
        let longest = self.lines.iter().max_by_key(|(_, line)| line.len());
        let key = *longest.filter(|(_, line)| line.len() > than)?.0;
        let (_, waiting) = self.lines.get_mut(&key)?.pop_back()?;
        self.shortened(key);
        Some(waiting)
    }

    /// Takes everybody out.
    pub(super) fn clear(&mut self) -> impl Iterator<Item = T> {
        self.length = 0;
        self.turns.clear();
        let lines = std::mem::take(&mut self.lines);
        lines.into_values().flatten().map(|(_, waiting)| waiting)
    }

    /// One of a line went out of its turn.
    fn shortened(&mut self, key: K) {
        self.length -= 1;
        if self.of(key) == 0 {
            self.lines.remove(&key);
            self.turns.retain(|other| *other != key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(order: &str) -> Queue<char, String> {
        let mut queue = Queue::new();
        for (number, key) in order.chars().enumerate() {
            queue.push(key, format!("{key}{number}"));
        }
        queue
    }

    fn drain(queue: &mut Queue<char, String>) -> String {
        let all: Vec<String> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(queue.len(), 0);
        assert!(queue.lines.is_empty() && queue.turns.is_empty());
        all.join(" ")
    }

    #[test]
    fn machines_take_turns_and_each_keeps_its_order() {
        let mut queue = queue("aaaaabbc");
        assert_eq!(queue.len(), 8);
        assert_eq!(drain(&mut queue), "a0 b5 c7 a1 b6 a2 a3 a4");
    }

    #[test]
    fn a_machine_that_comes_late_waits_one_turn_of_the_others() {
        let mut queue = queue("aaaa");
        assert_eq!(queue.ahead_of('b'), 1);
        assert_eq!(queue.ahead_of('a'), 4);
        assert_eq!(queue.pop().as_deref(), Some("a0"));
        queue.push('b', "late".to_owned());
        assert_eq!(queue.ahead_of('b'), 3);
        assert_eq!(drain(&mut queue), "a1 late a2 a3");
    }

    #[test]
    fn whoever_leaves_takes_its_place_along() {
        let mut queue = queue("aab");
        let number = queue.push('b', "leaving".to_owned());
        assert_eq!(queue.remove('b', number).as_deref(), Some("leaving"));
        assert_eq!(queue.remove('b', number), None);
        assert_eq!(queue.remove('c', 0), None);
        // The only one of its machine.
        assert_eq!(queue.remove('b', 2).as_deref(), Some("b2"));
        assert_eq!(drain(&mut queue), "a0 a1");
        let number = queue.push('a', "again".to_owned());
        assert_eq!(queue.pop().as_deref(), Some("again"));
        assert_eq!(queue.remove('a', number), None);
    }

    #[test]
    fn the_longest_line_loses_its_last() {
        let mut queue = queue("baaab");
        assert_eq!(queue.pop_longest(3), None);
        assert_eq!(queue.pop_longest(2).as_deref(), Some("a3"));
        assert_eq!(queue.pop_longest(2), None);
        assert_eq!(queue.len(), 4);
        assert_eq!(queue.clear().count(), 4);
        assert_eq!(drain(&mut queue), "");
    }
}
