"""Each MUST of the two RFCs that rxws can meet or break, what it does about it, and the tests that show it.

`docs/conformance.md` has them as a table, which `make conformance` writes and `test_musts.py` compares.
"""

from __future__ import annotations

from typing import NamedTuple


class Must(NamedTuple):
    """A requirement; `tests` are files below `tests/` with their functions."""

    who: str
    section: str
    must: str
    rxws: str
    tests: str = ""


SERVER, CLIENT = "conformance/test_server_handshake.py", "conformance/test_client_handshake.py"
FRAMING, CLOSING = "conformance/test_framing.py", "conformance/test_closing.py"
COMPRESSION, NEGOTIATION = "conformance/test_compression.py", "wires/test_negotiation.py"
NO_MIDDLEMAN = "does not apply: rxws is not an intermediary"

OPENING = [
    Must("client", "4.1", "open a connection, send a handshake, read the answer", "does", f"{CLIENT}::test_request"),
    Must(
        "client",
        "4.1",
        "have a valid URL (section 3, without a fragment), or fail",
        "`ValueError` when `connect` is called, or when a function has made the URL",
        f"{CLIENT}::test_url",
    ),
    Must(
        "client",
        "4.1",
        "have at most one connection to an address that is still being opened",
        "not met: the rule protects servers from scripts in browsers; a program decides how many it opens at once",
    ),
    Must(
        "client",
        "4.1",
        "build the URL that is given to a proxy auto-configuration script",
        "does not apply: rxws runs no such scripts",
    ),
    Must(
        "client",
        "4.1",
        "fail if the connection cannot be opened, or a proxy refuses",
        "`ConnectError` of the stage `dns`, `tcp` or `proxy`",
        f"{CLIENT}::test_connection_that_cannot_be_opened",
    ),
    Must(
        "client",
        "4.1",
        "shake hands with TLS first if the URL is `wss`, and fail if that fails",
        "`ConnectError` of the stage `tls`",
        f"{CLIENT}::test_tls",
    ),
    Must(
        "client",
        "4.1",
        "send everything through TLS then",
        "does; a redirect from `wss` to `ws` or `http` is a `ConnectError`, and nothing is sent there",
        f"{CLIENT}::test_redirect_into_the_clear",
    ),
    Must("client", "4.1", "name the server in the TLS handshake (SNI)", "does", f"{CLIENT}::test_tls"),
    Must(
        "client",
        "4.1",
        "send a valid GET request of HTTP/1.1 for the URL's path and query, with `Host`, `Upgrade: websocket`,"
        " `Connection: Upgrade`, `Sec-WebSocket-Version: 13`",
        "does; `headers` that would change one of them are a `ValueError`",
        f"{CLIENT}::test_request {CLIENT}::test_headers_of_the_handshake",
    ),
    Must(
        "client",
        "4.1",
        "send a key of 16 random bytes, new for each connection",
        "does, but a request after a redirect has the key of the request before it",
        f"{CLIENT}::test_request",
    ),
    Must("client", "4.1", "send `Origin` as a browser", "does not apply: only browsers must; `headers` may have it"),
    Must(
        "client",
        "4.1",
        "offer subprotocols that are tokens, each once",
        "others are a `ValueError`",
        f"{CLIENT}::test_subprotocols_offered",
    ),
    Must(
        "client",
        "4.1",
        "send nothing more before the answer is there",
        "does; messages that the program sends earlier wait for it",
        f"{CLIENT}::test_waits_for_the_answer",
    ),
    Must(
        "client",
        "4.1",
        "fail on an answer without the right `Upgrade`, `Connection` or `Sec-WebSocket-Accept`",
        "`ConnectError` of the stage `handshake`; a `Connection` of several tokens fails, too",
        f"{CLIENT}::test_wrong_answer",
    ),
    Must(
        "client",
        "4.1",
        "fail on an extension or a subprotocol that was not offered",
        "the same",
        f"{CLIENT}::test_wrong_answer {CLIENT}::test_subprotocol_that_was_not_offered",
    ),
    Must(
        "client",
        "4.1",
        "fail on an answer that differs from 4.2.2 in any other way",
        "the same, as for two `Sec-WebSocket-Accept` or two subprotocols",
        f"{CLIENT}::test_wrong_answer",
    ),
    Must(
        "server",
        "4.2.1",
        "answer with an HTTP error if the request is not a GET of HTTP/1.1, if `Host`, `Upgrade`, `Connection`,"
        " `Sec-WebSocket-Key` or `Sec-WebSocket-Version` is wrong, or if a header breaks its grammar",
        "400, 405, 426 or 505, before anything of the handler runs; counted as `handshake`",
        f"{SERVER}::test_not_a_handshake {SERVER}::test_handshake_with_a_body",
    ),
    Must(
        "server",
        "4.2.2",
        "send everything through TLS on a port of HTTPS",
        "does (aiohttp)",
        "integration/test_connect.py::test_tls_with_a_certificate_of_one_s_own",
    ),
    Must(
        "server",
        "4.2.2",
        "answer with an HTTP error if it does not accept the origin",
        "403, counted as `origin`; the body and the log say what to do",
        f"{SERVER}::test_foreign_origin faults/test_handshakes.py::test_foreign_origin_is_explained_once",
    ),
    Must(
        "server",
        "4.2.2, 4.4",
        "answer another version with an HTTP error, and list its own versions in `Sec-WebSocket-Version`",
        "426, `13`",
        f"{SERVER}::test_not_a_handshake",
    ),
    Must(
        "server",
        "4.2.2",
        "answer with an HTTP error where there is no service",
        "404",
        f"{SERVER}::test_unknown_resource",
    ),
    Must(
        "server",
        "4.2.2",
        "choose one of the subprotocols of the client, or send no `Sec-WebSocket-Protocol`",
        "the first of the client's that is in `protocols`; all lines of the header count (11.3.4)",
        f"{SERVER}::test_subprotocol",
    ),
    Must(
        "server",
        "4.2.2, 9",
        "send no extension that the client did not list",
        "only permessage-deflate, only if it was offered",
        f"{COMPRESSION}::test_server_answers_offers {NEGOTIATION}::test_other_extensions_declined",
    ),
    Must("server", "4.2.2", "answer with a valid 101", "does", f"{SERVER}::test_handshake"),
    Must(
        "both",
        "4.3, 9.1",
        "fail on a list of extensions that breaks the grammar; a quoted value is a token, too",
        "400; `ConnectError`",
        f"{NEGOTIATION}::test_not_extensions {SERVER}::test_not_a_handshake {CLIENT}::test_wrong_answer",
    ),
    Must(
        "server",
        "11.3",
        "send `Sec-WebSocket-Accept` and `Sec-WebSocket-Protocol` once at most",
        "does",
        f"{SERVER}::test_handshake {SERVER}::test_subprotocol",
    ),
]

FRAMES = [
    Must("client", "5.1, 5.3", "mask all frames", "does", f"{FRAMING}::test_masks_what_it_sends"),
    Must("server", "5.1", "mask no frame", "does", f"{FRAMING}::test_masks_what_it_sends"),
    Must(
        "both",
        "5.1",
        "close on a frame that is not masked (a server), or that is (a client)",
        "1002 as soon as the header is there, whatever comes with it",
        f"{FRAMING}::test_mask_bit_is_wrong {FRAMING}::test_mask_bit_is_wrong_and_bytes_trickle "
        f"{FRAMING}::test_violation_with_the_answer_of_the_handshake",
    ),
    Must(
        "client",
        "5.3",
        "pick a new mask for each frame, from a strong source of entropy; earlier masks must not reveal it",
        "does, on both wires: masks come from the operating system",
        f"{FRAMING}::test_masks_come_from_a_strong_source wires/aiohttp/test_masks.py::test_masks_come_from_the_system",
    ),
    Must("both", "5.2", "fail on a reserved bit without a meaning", "1002", f"{FRAMING}::test_reserved_bit"),
    Must("both", "5.2", "fail on an unknown opcode", "1002", f"{FRAMING}::test_unknown_opcode"),
    Must(
        "both",
        "5.2",
        "set the highest bit of a length to 0",
        "1002 if it is 1",
        f"{FRAMING}::test_length_of_64_bits",
    ),
    Must(
        "both",
        "5.2",
        "write lengths in as few bytes as possible",
        "does; takes a peer's longer ones, which the section does not forbid",
        f"{FRAMING}::test_length_is_minimal {FRAMING}::test_length_that_is_not_minimal",
    ),
    Must("both", "5.2, 5.8", "negotiate extensions in the handshake", "does", f"{COMPRESSION}::test_client_offers"),
    Must(
        "both",
        "5.4, 5.5",
        "not fragment control frames",
        "does not; 1002 for a fragmented one",
        f"{FRAMING}::test_fragmented_control_frame",
    ),
    Must(
        "both",
        "5.4",
        "take messages whole and in fragments, deliver fragments in order, take control frames between them",
        "does",
        f"{FRAMING}::test_fragments {CLOSING}::test_close_is_heard_behind_messages",
    ),
    Must(
        "both",
        "5.4",
        "not mix the fragments of two messages; the first fragment gives the type",
        "sends each message in one frame; 1002 for a message within another, and for a continuation without a start",
        f"{FRAMING}::test_interleaved_messages {FRAMING}::test_continuation_of_nothing",
    ),
    Must("intermediary", "5.4", "not change fragmentation where it does not know what that means", NO_MIDDLEMAN),
    Must(
        "both",
        "5.5",
        "put at most 125 bytes into a control frame",
        "1002 for more",
        f"{FRAMING}::test_long_control_frame",
    ),
    Must(
        "both",
        "5.5.1",
        "begin the body of a close frame with a code of two bytes",
        "does; 1002 for a body of one byte",
        f"{CLOSING}::test_close_frame {CLOSING}::test_wrong_body",
    ),
    Must(
        "client",
        "5.5.1",
        "not show the reason to end users",
        "does not apply: it goes to the program, and escaped to logs",
    ),
    Must(
        "both",
        "5.5.1",
        "not send data after a close frame",
        "does not: `outgoing` takes nothing more",
        f"{CLOSING}::test_nothing_follows_a_close_frame",
    ),
    Must(
        "both",
        "5.5.1",
        "answer a close frame with one",
        "with the same code; 1000 where there was none",
        f"{CLOSING}::test_close_frame_is_answered",
    ),
    Must(
        "both",
        "5.5.1",
        "close TCP when both close frames are there, a server at once",
        "does; a client waits for its server, within `close_timeout`",
        f"{CLOSING}::test_tcp_is_closed {CLOSING}::test_both_close_at_once",
    ),
    Must(
        "both",
        "5.5.2, 5.5.3",
        "answer a ping with a pong of the same bytes, unless a close frame has come",
        "does; if the peer does not read its pongs, the oldest are left out, as 5.5.3 allows",
        f"{FRAMING}::test_pongs",
    ),
    Must(
        "both",
        "5.6, 8.1",
        "send text as UTF-8, and fail on any other text",
        "1007",
        f"{FRAMING}::test_text_that_is_not_utf8",
    ),
]

CLOSE = [
    Must(
        "both",
        "7.1.2",
        "begin to close with a close frame of the code and the reason",
        "does",
        f"{CLOSING}::test_close_frame",
    ),
    Must(
        "both",
        "7.1.7",
        "close the connection to fail it",
        "sends the close frame, and drops the connection within `close_timeout`",
        f"{CLOSING}::test_failed_connection_is_closed",
    ),
    Must(
        "both",
        "7.1.7",
        "not process anything from the peer after that, not even its close frame",
        "does not",
        f"{CLOSING}::test_failed_connection_is_closed {FRAMING}::test_mask_bit_is_wrong",
    ),
    Must(
        "client",
        "7.2.1",
        "fail where the handshake says so, or when the connection is lost",
        "`ConnectError`; 1006",
        f"{CLOSING}::test_client_that_must_fail_does_not_become_a_socket {CLOSING}::test_connection_is_lost",
    ),
    Must(
        "server",
        "7.2.2",
        "just close the connection to abort a handshake",
        "answers with an HTTP error; a client that has left is let go",
        f"{SERVER}::test_frames_behind_a_refused_handshake"
        " faults/test_handshakes.py::test_client_that_leaves_during_the_handshake",
    ),
    Must(
        "both",
        "7.4.1",
        "never send the codes 1005, 1006 and 1015",
        "`Close` refuses them; 1002 if a peer sends one",
        f"{CLOSING}::test_codes_that_are_never_sent {CLOSING}::test_wrong_code",
    ),
]

DEFLATE = [
    Must(
        "both",
        "7692: 5",
        "use only what was agreed on, and fail if that is impossible",
        "`ConnectError` of the stage `handshake`; 1002 for a compressed message without an agreement",
        f"{COMPRESSION}::test_client_fails_on_answers {COMPRESSION}::test_server_without_compression_declines",
    ),
    Must(
        "both",
        "7692: 6",
        "not set RSV1 on control frames, nor on fragments that are not the first, and fail on such a frame",
        "does not; 1002",
        f"{COMPRESSION}::test_messages_are_compressed {COMPRESSION}::test_bit_of_a_continuation"
        f" {FRAMING}::test_compressed_control_frame",
    ),
    Must(
        "server",
        "7692: 7",
        "decline an offer with an unknown parameter, a wrong value, or a parameter twice, or that it cannot meet",
        "does, and takes the next offer; smaller windows can be met with `rxws.Deflate` alone",
        f"{COMPRESSION}::test_server_answers_offers {NEGOTIATION}::test_offer_declined"
        f" {NEGOTIATION}::test_smaller_window_declined",
    ),
    Must(
        "client",
        "7692: 7",
        "fail on an answer with an unknown parameter, a wrong value, or a parameter twice, or that it cannot meet",
        "`ConnectError` of the stage `handshake`",
        f"{COMPRESSION}::test_client_fails_on_answers {NEGOTIATION}::test_wrong_answer",
    ),
    Must(
        "server",
        "7692: 7.1.2.2",
        "not answer with `client_max_window_bits` that was not offered",
        "does not",
        f"{COMPRESSION}::test_server_answers_offers {NEGOTIATION}::test_offer_accepted_with_options",
    ),
    Must(
        "both",
        "7692: 7.1.1, 7.2.1",
        "compress each message by itself if your own `no_context_takeover` is agreed on",
        "does, even without such an agreement, unless `rxws.Deflate` says otherwise",
        f"{COMPRESSION}::test_own_context {COMPRESSION}::test_own_context_kept",
    ),
    Must(
        "both",
        "7692: 7.1.2, 7.2.1",
        "compress with no larger window than was agreed on, nor than 32 KiB",
        "does",
        f"{COMPRESSION}::test_own_window",
    ),
    Must(
        "both",
        "7692: 7.2.1",
        "leave the tail `00 00 ff ff` on fragments that are not the last",
        "does not apply: a compressed message is one frame, without the tail",
        f"{COMPRESSION}::test_messages_are_compressed",
    ),
    Must(
        "both",
        "7692: 7.2.2",
        "accept messages that refer to earlier ones, with any window, in any kind of blocks",
        "does, unless the peer has agreed to forget earlier ones: then 1002",
        f"{COMPRESSION}::test_messages_are_expanded {COMPRESSION}::test_context_of_the_peer"
        f" {COMPRESSION}::test_window_of_the_peer {COMPRESSION}::test_peer_that_does_not_forget"
        f" {COMPRESSION}::test_client_that_keeps_its_context",
    ),
    Must("intermediary", "7692: 8", "not change what is compressed without knowing how", NO_MIDDLEMAN),
]

MUSTS = {"The opening handshake": OPENING, "Frames": FRAMES, "The end": CLOSE, "Compression": DEFLATE}
