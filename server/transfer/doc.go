// Package transfer deals with other name servers, both ways.
//
// [Outgoing] gives zones to secondaries, by AXFR and IXFR, and [Notifier] tells them of changes. [Refresher] keeps the copies of zones fresh
// that have a primary: it decides when to ask and when a zone has expired (refresher.go, queue.go, secondary.go), and fetches what is new (fetch.go).
// [Notices] judges the NOTIFYs that come in. Whatever a primary sends, a fetch has bounds of time and memory.
//
// It neither compiles nor publishes a zone: a new copy leaves as an [Update]. The standards are RFC 5936 (AXFR), RFC 1995 (IXFR),
// RFC 1996 (NOTIFY) and RFC 1034 4.3.5 (refresh and expiry).
package transfer
