// Package answer turns a query packet into a response packet.
//
// A [Responder] reads the packet (query.go, edns.go), has the zones looked up, and an encoder copies the RRsets that were found into the
// response (encode.go). respond.go is that path from end to end. Everything that an answer depends on stands in a [Snapshot], which a
// reload replaces as a whole. Cookies and the rate limit judge the client (cookie.go, limiter.go).
//
// It opens no socket, reads no file and starts no goroutine, and answering a query neither allocates, nor locks, nor logs.
// The standards are RFC 1034 and 1035, RFC 6891 (EDNS), RFC 7873 and 9018 (cookies), and RFC 8914 (extended errors).
package answer
