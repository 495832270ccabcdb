// Package pace keeps work that takes long from delaying answers.
//
// [WhileServing] runs a load beside the goroutines that answer, and [Yield] and [Rests] give them the processor within a long loop.
// [PerMinute] bounds how often the log reports events that anybody can cause, and [Signal] wakes a goroutine.
//
// It knows nothing of DNS. What it relies on is the scheduler of the Go runtime, and sched_yield(2).
package pace
