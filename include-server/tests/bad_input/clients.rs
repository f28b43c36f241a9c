//! Clients that vanish, dawdle or come all at once.

use std::io::{Read, Write};
use std::net::Shutdown;

use protocol::include_dialogue::Query;

use crate::session::{Session, connect};

#[test]
fn clients_that_vanish_at_every_stage() {
    let session = Session::start();
    let query = session.query("/usr/bin/gcc -c good.c");
    let stock = Query {
        environment: None,
        ..query.clone()
    };
    for (socket, message) in [
        (session.stock_socket(), stock.encode()),
        (session.rich_socket(), query.encode()),
    ] {
        for end in 0..=message.len() {
            // Gone without a word; gone after saying that there is no more; gone in the answer.
            for stage in 0..3 {
                let mut stream = connect(&socket);
                stream.write_all(&message[..end]).unwrap();
                if stage > 0 {
                    stream.shutdown(Shutdown::Write).unwrap();
                }
                if stage > 1 {
                    let mut first = [0];
                    // Nothing comes for an unfinished query.
                    let _ = stream.read(&mut first);
                }
            }
        }
        session.lives_on();
    }
}

#[test]
fn clients_that_do_not_read_their_answer() {
    let session = Session::start();
    // Noise does not compress: the answer is larger than any socket's buffer.
    let mut state = 7u64;
    let noise: String = (0..4_000_000)
        .map(|_| {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            char::from(b'a' + (state >> 40) as u8 % 26)
        })
        .collect();
    session.write("large.c", format!("/* {noise} */\n"));
    let message = session.query("/usr/bin/gcc -c large.c").encode();
    let stuck: Vec<_> = (0..80)
        .map(|_| {
            let mut stream = connect(&session.rich_socket());
            stream.write_all(&message).unwrap();
            stream
        })
        .collect();
    session.lives_on();
    // One reads a little and goes; one reads all, slowly.
    let mut streams = stuck.into_iter();
    let mut little = streams.next().unwrap();
    little.read_exact(&mut [0; 100]).unwrap();
    drop(little);
    let mut slow = streams.next().unwrap();
    let mut total = 0;
    let mut piece = vec![0; 64 << 10];
    loop {
        match slow.read(&mut piece).unwrap() {
            0 => break,
            count => total += count,
        }
    }
    assert!(total > 2_000_000, "{total}");
    session.lives_on();
    drop(streams);
    session.lives_on();
}

#[test]
fn sixty_four_requests_at_once() {
    let session = Session::start();
    for n in 0..64 {
        session.write(
            &format!("{n}.c"),
            format!("#include \"good.h\"\n#include \"{n}.h\"\n"),
        );
        session.write(&format!("{n}.h"), "#include <stddef.h>\n");
    }
    std::thread::scope(|scope| {
        for n in 0..64 {
            let session = &session;
            scope.spawn(move || {
                let options = ["", " -O2", " -std=c99", " -DX=1"][n % 4];
                let query = session.query(&format!("gcc{options} -c {n}.c"));
                for _ in 0..5 {
                    assert_eq!(session.ask(&query), Ok(3));
                    assert!(!session.ask_stock(&query).is_empty());
                }
            });
        }
    });
}

#[test]
fn more_clients_than_the_service_takes() {
    let session = Session::start();
    // They say nothing, and are waited for; others get their turn when they go.
    let silent: Vec<_> = (0..300).map(|_| connect(&session.rich_socket())).collect();
    session.lives_on();
    drop(silent);
    session.lives_on();
}
