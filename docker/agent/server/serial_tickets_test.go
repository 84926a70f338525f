package server

import (
	"testing"
	"testing/synctest"
	"time"

	"ndock/docker/agent"
)

const ours, theirs = "our container", "their container"

func wantIn(t *testing.T, what, container string, ok bool, want string) {
	t.Helper()
	if container != want || ok != (want != "") {
		t.Errorf("%s: got %q, %t, want %q", what, container, ok, want)
	}
}

func TestPathIsGoodOnce(t *testing.T) {
	tickets := newTickets()
	first, second := tickets.add(ours, agent.AdmitPath, time.Minute), tickets.add(theirs, agent.AdmitPath, time.Minute)
	if first == second || len(first) < 27 {
		t.Fatalf("got the paths %q and %q", first, second)
	}
	for _, wrong := range []string{"", "/", first[1:], first + "0", first[:len(first)-1]} {
		got, ok := tickets.byPath(wrong)
		wantIn(t, wrong, got, ok, "")
	}
	for path, want := range map[string]string{first: ours, second: theirs} {
		got, ok := tickets.byPath(path)
		wantIn(t, "the first time", got, ok, want)
		got, ok = tickets.byPath(path)
		wantIn(t, "the second time", got, ok, "")
	}
	if len(tickets.valid) != 0 {
		t.Errorf("tickets are left: %v", tickets.valid)
	}
}

func TestTicketsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := newTickets()
		path := tickets.add(ours, agent.AdmitPath, time.Minute)
		tickets.add(ours, agent.AdmitNext, time.Hour) // which is longer than a proxy takes
		time.Sleep(nextComes)
		if tickets.expectsNext() {
			t.Error("the next is still expected")
		}
		got, ok := tickets.next(t.Context())
		wantIn(t, "the next, too late", got, ok, "")
		time.Sleep(time.Minute - nextComes)
		got, ok = tickets.byPath(path)
		wantIn(t, "the path, too late", got, ok, "")
	})
}

func TestTicketsAreFew(t *testing.T) {
	tickets := newTickets()
	oldest := tickets.add(ours, agent.AdmitPath, time.Minute)
	second := tickets.add(ours, agent.AdmitPath, time.Minute)
	for range ticketsKept - 1 {
		tickets.add(ours, agent.AdmitPath, time.Minute)
	}
	got, ok := tickets.byPath(oldest)
	wantIn(t, "the oldest", got, ok, "")
	got, ok = tickets.byPath(second)
	wantIn(t, "the one after it", got, ok, ours)
}

func TestNoTicketForNone(t *testing.T) {
	tickets := newTickets()
	if path := tickets.add(ours, "", time.Minute); path != "" || len(tickets.valid) != 0 {
		t.Errorf("got %q, %v", path, tickets.valid)
	}
}

// TestNext: as many as were announced get in, however they come; one more, and none does.
func TestNext(t *testing.T) {
	for name, c := range map[string]struct{ announced, come, in int }{
		"nobody is announced":           {0, 1, 0},
		"one":                           {1, 1, 1},
		"two at once":                   {2, 2, 2},
		"fewer than were announced":     {3, 2, 2},
		"another lies in wait":          {1, 2, 0},
		"another comes with two others": {2, 3, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			tickets := newTickets()
			tickets.add(ours, agent.AdmitPath, time.Minute)
			for range c.announced {
				tickets.add(ours, agent.AdmitNext, time.Minute)
			}
			in := make(chan bool, c.come)
			for range c.come {
				go func() {
					container, ok := tickets.next(t.Context())
					in <- ok && container == ours
				}()
			}
			count := 0
			for range c.come {
				if <-in {
					count++
				}
			}
			if count != c.in {
				t.Errorf("%s: %d got in", name, count)
			}
			got, ok := tickets.next(t.Context())
			wantIn(t, name+": later", got, ok, map[bool]string{true: ours}[c.come < c.announced])
			if tickets.waiting != 0 {
				t.Errorf("%s: %d are waited for", name, tickets.waiting)
			}
		})
	}
}

// TestNextAfterASpoiledOne: who lay in wait once does not keep the console closed.
func TestNextAfterASpoiledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tickets := newTickets()
		tickets.add(ours, agent.AdmitNext, time.Minute)
		go tickets.next(t.Context())
		synctest.Wait()
		got, ok := tickets.next(t.Context())
		wantIn(t, "the second of two", got, ok, "")
		tickets.add(ours, agent.AdmitNext, time.Minute)
		got, ok = tickets.next(t.Context())
		wantIn(t, "announced again", got, ok, ours)
	})
}
