// Package tap copies queries and their responses to a file or a socket, in the format of dnstap.
//
// A [Tap] takes a copy and writes it later: answering a query never waits for the reader. What the reader is too slow for is dropped and
// counted. While the socket is not there, the tap tries to open it every second.
//
// It changes no answer and judges no client. The format is described at dnstap.info and in fstrm's frame streams.
package tap
