// Package health watches the real exchanges of trapped domains: only while all of them are well is a visit to a decoy evidence.
//
// A [Watch] dials each exchange as a sender does (dial.go), in turn and all the time (watch.go). A [Group] is well when each of its exchanges
// has answered well for long enough. What is not known is not well.
package health
