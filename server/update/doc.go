// Package update takes dynamic updates (RFC 2136), as certificate automation needs them.
//
// config.go has the operator's rules: which key may change which names and types. message.go reads a message, apply.go says what it makes of
// the RRsets of a zone, and serve.go answers it.
//
// The package changes nothing itself. What it works out is handed to a function of the server, which compiles the zone with it, sees to it that
// nothing else has changed, keeps it on disk, and serves it.
package update
