// Package state keeps on disk what must outlive the process: the folder server.state.
//
// Copies are the zones of primaries, in wire format with a checksum (copies.go). The book of serial numbers says what was served under which
// number, so that one number never has two contents (serials.go, RFC 1982). waiting.go notes which zones had to give way to others.
// At any moment, and after a crash, a file here is the old one or the whole new one (file.go). A damaged file ends no start.
//
// It decides neither when a copy is fetched nor which zone is served.
package state
