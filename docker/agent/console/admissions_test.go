package console

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
	admissions := newAdmissions()
	first, second := admissions.add(ours, agent.AdmitPath, time.Minute), admissions.add(theirs, agent.AdmitPath, time.Minute)
	if first == second || len(first) < 27 {
		t.Fatalf("got the paths %q and %q", first, second)
	}
	for _, wrong := range []string{"", "/", first[1:], first + "0", first[:len(first)-1]} {
		got, ok := admissions.byPath(wrong)
		wantIn(t, wrong, got, ok, "")
	}
	for path, want := range map[string]string{first: ours, second: theirs} {
		got, ok := admissions.byPath(path)
		wantIn(t, "the first time", got, ok, want)
		got, ok = admissions.byPath(path)
		wantIn(t, "the second time", got, ok, "")
	}
	if len(admissions.valid) != 0 {
		t.Errorf("admissions are left: %v", admissions.valid)
	}
}

func TestAdmissionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admissions := newAdmissions()
		path := admissions.add(ours, agent.AdmitPath, time.Minute)
		admissions.add(ours, agent.AdmitNext, time.Hour) // which is longer than a proxy takes
		time.Sleep(nextLifetime)
		if admissions.expectsNext() {
			t.Error("the next is still expected")
		}
		got, ok := admissions.next(t.Context())
		wantIn(t, "the next, too late", got, ok, "")
		time.Sleep(time.Minute - nextLifetime)
		got, ok = admissions.byPath(path)
		wantIn(t, "the path, too late", got, ok, "")
	})
}

func TestAdmissionsAreFew(t *testing.T) {
	admissions := newAdmissions()
	oldest := admissions.add(ours, agent.AdmitPath, time.Minute)
	second := admissions.add(ours, agent.AdmitPath, time.Minute)
	for range maxAdmissions - 1 {
		admissions.add(ours, agent.AdmitPath, time.Minute)
	}
	got, ok := admissions.byPath(oldest)
	wantIn(t, "the oldest", got, ok, "")
	got, ok = admissions.byPath(second)
	wantIn(t, "the one after it", got, ok, ours)
}

func TestNoAdmissionForNone(t *testing.T) {
	admissions := newAdmissions()
	if path := admissions.add(ours, "", time.Minute); path != "" || len(admissions.valid) != 0 {
		t.Errorf("got %q, %v", path, admissions.valid)
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
			admissions := newAdmissions()
			admissions.add(ours, agent.AdmitPath, time.Minute)
			for range c.announced {
				admissions.add(ours, agent.AdmitNext, time.Minute)
			}
			in := make(chan bool, c.come)
			for range c.come {
				go func() {
					container, ok := admissions.next(t.Context())
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
			got, ok := admissions.next(t.Context())
			wantIn(t, name+": later", got, ok, map[bool]string{true: ours}[c.come < c.announced])
			if admissions.waiting != 0 {
				t.Errorf("%s: %d are waited for", name, admissions.waiting)
			}
		})
	}
}

// TestNextAfterASpoiledOne: who lay in wait once does not keep the console closed.
func TestNextAfterASpoiledOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		admissions := newAdmissions()
		admissions.add(ours, agent.AdmitNext, time.Minute)
		go admissions.next(t.Context())
		synctest.Wait()
		got, ok := admissions.next(t.Context())
		wantIn(t, "the second of two", got, ok, "")
		admissions.add(ours, agent.AdmitNext, time.Minute)
		got, ok = admissions.next(t.Context())
		wantIn(t, "announced again", got, ok, ours)
	})
}
