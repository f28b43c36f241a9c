//! Other ways to a server than a TCP connection of our own: ssh and a SOCKS proxy.

use crate::support::{Desk, StockDaemon};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixListener, UnixStream};

#[test]
fn ssh_is_given_user_host_and_command() {
    if StockDaemon::start().is_none() {
        return;
    }
    let desk = Desk::with_hosts("me@far/3,lzo").set("DISTCC_FALLBACK", "0");
    let words = desk.at("ssh-words");
    let script = format!(
        "#!/bin/sh\necho \"$*\" > {}\nTMPDIR=/tmp exec /usr/bin/distccd --inetd --enable-tcp-insecure --log-file /dev/null\n",
        words.display()
    );
    let desk = desk
        .program("my-ssh", &script)
        .set("DISTCC_SSH", "my-ssh -o Option=1")
        .source("a.c", "int x = 1;\n");
    desk.distcc("gcc -c a.c").silent_success();
    desk.gcc("-c a.c -o l.o").silent_success();
    assert_eq!(desk.read("a.o"), desk.read("l.o"));
    let words = std::fs::read_to_string(words).unwrap();
    assert_eq!(
        words,
        "-o Option=1 -l me far distccd --inetd --enable-tcp-insecure\n"
    );
    assert!(desk.at("state/lock/cpu_ssh_far_0").exists());
}

#[test]
fn an_ssh_that_fails_is_one_line() {
    let desk = Desk::with_hosts("@far").source("a.c", "int x;\n");
    let desk = desk
        .program("my-ssh", "#!/bin/sh\nexit 255\n")
        .set("DISTCC_SSH", "my-ssh");
    desk.distcc("gcc -c a.c")
        .says(0, "server provided no answer");
    let desk = Desk::with_hosts("@far")
        .source("a.c", "int x;\n")
        .set("DISTCC_SSH", "no-such-ssh");
    desk.distcc("gcc -c a.c")
        .says(0, "cannot start no-such-ssh");
}

/// A SOCKS5 proxy that, like Portage's, takes a half-closed client for one that is gone.
fn proxy(listener: UnixListener) {
    for client in listener.incoming() {
        std::thread::spawn(move || relay(client.unwrap()));
    }
}

fn relay(mut client: UnixStream) {
    let mut hello = [0; 3];
    client.read_exact(&mut hello).unwrap();
    assert_eq!(hello, [5, 1, 0]);
    client.write_all(&[5, 0]).unwrap();
    let mut request = [0; 10];
    client.read_exact(&mut request).unwrap();
    assert_eq!(request[..4], [5, 1, 0, 1]);
    let address: [u8; 4] = request[4..8].try_into().unwrap();
    let port = u16::from_be_bytes([request[8], request[9]]);
    let Ok(mut server) = TcpStream::connect((std::net::Ipv4Addr::from(address), port)) else {
        client.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
        return;
    };
    client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 9]).unwrap();
    let (mut up, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut up, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Both);
    });
    let _ = std::io::copy(&mut server, &mut client);
    let _ = client.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_socks_proxy_on_a_unix_socket() {
    let Some(daemon) = StockDaemon::start() else {
        return;
    };
    let desk = Desk::with_hosts(&daemon.host(",lzo")).source("a.c", "int x = 1;\n");
    let socket = desk.at("proxy");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || proxy(listener));
    let desk = desk.set("DISTCC_SOCKS_PROXY", socket.to_str().unwrap());
    let mut command = desk.distcc_command("gcc -c a.c");
    command.env("DISTCC_FALLBACK", "0");
    crate::support::Outcome::of(command.output().unwrap()).silent_success();
    // A host that the proxy cannot reach.
    let mut command = desk.distcc_command("gcc -c a.c");
    command.env(
        "DISTCC_HOSTS",
        format!("127.0.0.1:{}", crate::support::free_port()),
    );
    crate::support::Outcome::of(command.output().unwrap())
        .says(0, "the proxy could not connect: connection refused");
}
