package server

import "runtime"

// besideServing does what takes long without keeping queries waiting. The Go runtime looks for packets at once only while one of its
// processors has nothing else to do, so it gets as many again; between the threads on them the kernel chooses, and those that compute
// must [yield] to those that answer.
func besideServing(do func()) {
	processors := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(2 * processors)
	defer runtime.GOMAXPROCS(processors)
	do()
}

// rests returns what a long loop calls in each turn, to [yield] in some of them.
func rests() func() {
	turns := 0
	return func() {
		if turns++; turns%64 == 0 {
			yield()
		}
	}
}
