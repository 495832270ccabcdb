// Package load reads the zone files of a server into a set of zones that can be served.
//
// A [Loader] finds the files, reads them in parallel, and takes over what has not changed (load.go, sources.go, zones.go). A zone with a
// fault keeps its last good version. Zones from primaries are made of their copies (secondary.go), and catalogs bring members (catalog.go,
// RFC 9432). precedence.go decides which zones stand together: it is the one place where a zone is let in or has to give way.
//
// It serves nothing, and asks no other server: addresses, copies and serial numbers are handed to it.
package load
