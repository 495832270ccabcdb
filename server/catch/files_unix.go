//go:build unix

package catch

import "syscall"

// openFiles is how many files the process may have open; each session is one.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 2 * mostSessions
	}
	return uint64(limit.Cur) // an int64 on some systems
}
