// Package share ties the books of several servers together, through Valkey or Redis: what one catch or one mail host sees, all judge by, and one
// list is handed out by all.
//
// Each server appends what it notes to a stream that all follow (publish.go, follow.go). Visits to real hosts stand in keys that end by themselves,
// so that they are found when a client is sighted later. One server at a time, by a lease, writes the list (judge.go); the others have a copy of
// it, and answer their DNSBL from that. store.go is what stands in the store under which key.
//
// No outcome hangs on the store being there, or right: without it nobody new is listed, and who is listed stays until his end. Nobody is listed
// for a lack of visits while a server that sees visits is not heard.
package share
