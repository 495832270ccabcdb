// Package server answers DNS queries over UDP and TCP from the zones of a configuration.
//
// A packet becomes a [query] (query.go, edns.go), the zone package finds the RRsets of its answer, and the [encoder] copies them into
// the response (encode.go); respond.go is that path from end to end, and neither allocates nor locks nor logs. udp.go and tcp.go
// bring packets to it, UDP by batches of one system call (packets_linux.go). load.go and server.go make the snapshot that it reads,
// at start, on a reload, and when resolver.go has news.
package server
