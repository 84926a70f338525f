package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// fakeStep writes down what it is asked to do.
type fakeStep struct {
	title   string
	journal *[]string
	idle    bool             // it has nothing to do
	fail    map[string]error // by what it is asked to do
}

func (s *fakeStep) act(what string) error {
	*s.journal = append(*s.journal, what+" "+s.title)
	return s.fail[what]
}

func (s *fakeStep) Title() string                          { return s.title }
func (s *fakeStep) Detail(context.Context) (string, error) { return "in place", s.fail["detail"] }
func (s *fakeStep) Do(context.Context) error               { return s.act("do") }

func (s *fakeStep) Plan(context.Context) ([]string, error) {
	if s.idle || s.fail["plan"] != nil {
		return nil, s.fail["plan"]
	}
	return []string{"change it"}, nil
}

func (s *fakeStep) Rollback(context.Context) ([]string, error) {
	return []string{"rolled back"}, s.act("rollback")
}

func (s *fakeStep) Teardown(context.Context) ([]string, error) {
	return []string{"torn down"}, s.act("teardown")
}

// fakeSettler is one that has something left to do.
type fakeSettler struct {
	fakeStep
	after []Step
}

func (s *fakeSettler) After() []Step { return s.after }

func (s *fakeSettler) Settle(context.Context) ([]string, error) {
	return []string{"settled"}, s.act("settle")
}

// fakeNode is an agent, a file that nova-compute reads, and nova-compute, whose journal is shared.
func fakeNode() (agent, file *fakeStep, service *fakeSettler, journal *[]string) {
	journal = &[]string{}
	agent = &fakeStep{title: "agent", journal: journal, fail: map[string]error{}}
	file = &fakeStep{title: "file", journal: journal, fail: map[string]error{}}
	service = &fakeSettler{fakeStep: fakeStep{title: "service", journal: journal, fail: map[string]error{}}, after: []Step{file}}
	return agent, file, service, journal
}

func quiet(string, ...any) {}

func wantJournal(t *testing.T, journal *[]string, want ...string) {
	t.Helper()
	if !slices.Equal(*journal, want) {
		t.Errorf("got %q, want %q", *journal, want)
	}
}

var errBroken = errors.New("broken")

// What one run did is rolled back in reverse, the step that failed included; what it did not do is not.
func TestAFailedSetupRollsBackWhatItDid(t *testing.T) {
	agent, file, service, journal := fakeNode()
	file.idle = true
	service.fail["do"] = errBroken
	changed, err := Setup(t.Context(), []Step{agent, file, service}, quiet)
	if changed || !errors.Is(err, errBroken) || err.Error() != "service: broken" {
		t.Errorf("got %v, %v", changed, err)
	}
	wantJournal(t, journal, "do agent", "do service", "rollback service", "settle service", "rollback agent")
}

// The service gets its old files back before it settles, and settles before the agent goes.
func TestASettlerSettlesOnceItsFilesAreBack(t *testing.T) {
	agent, file, service, journal := fakeNode()
	changed, err := Teardown(t.Context(), []Step{agent, file, service}, quiet)
	if !changed || err != nil {
		t.Errorf("got %v, %v", changed, err)
	}
	wantJournal(t, journal, "teardown service", "teardown file", "settle service", "teardown agent")
}

func TestNothingIsBegunWithoutAWholePlan(t *testing.T) {
	agent, file, service, journal := fakeNode()
	service.fail["plan"] = errBroken
	if _, err := Setup(t.Context(), []Step{agent, file, service}, quiet); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
	wantJournal(t, journal)
}

// A step that cannot be checked, or not all of which can be done, does not fail setup.
func TestWhatCannotBeCheckedDoesNotFail(t *testing.T) {
	agent, file, service, journal := fakeNode()
	agent.fail["plan"] = &Unchecked{Why: "not root"}
	file.fail["do"] = &Unchecked{Why: "read-only"}
	var said []string
	changed, err := Setup(t.Context(), []Step{agent, file, service}, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
	if !changed || err != nil {
		t.Errorf("got %v, %v", changed, err)
	}
	wantJournal(t, journal, "do file", "do service")
	if want := "agent: could not be checked: not root"; said[0] != want || !slices.Contains(said, "file: could not be checked: read-only") {
		t.Errorf("said %q", said)
	}
}

// Teardown stops where it fails, as the rest is needed until then, and says what is left; but not for a service that does not
// settle.
func TestTeardownStopsWhereItFails(t *testing.T) {
	agent, file, service, journal := fakeNode()
	file.fail["teardown"] = errBroken
	_, err := Teardown(t.Context(), []Step{agent, file, service}, quiet)
	if !errors.Is(err, errBroken) || !strings.HasPrefix(hintOf(err), "not undone: file, service, agent; ") {
		t.Errorf("got %v; %s", err, hintOf(err))
	}
	wantJournal(t, journal, "teardown service", "teardown file")

	agent, file, service, journal = fakeNode()
	service.fail["settle"] = errBroken
	_, err = Teardown(t.Context(), []Step{agent, file, service}, quiet)
	if !errors.Is(err, errBroken) || hintOf(err) != "all else is undone; " {
		t.Errorf("got %v; %s", err, hintOf(err))
	}
	wantJournal(t, journal, "teardown service", "teardown file", "settle service", "teardown agent")
}

// A rollback goes on where a step fails, and names it.
func TestARollbackGoesOn(t *testing.T) {
	agent, file, service, journal := fakeNode()
	service.fail["do"], file.fail["rollback"] = errBroken, errors.New("full")
	_, err := Setup(t.Context(), []Step{agent, file, service}, quiet)
	if err == nil || err.Error() != "service: broken; and undoing file failed: full" {
		t.Errorf("got %v", err)
	}
	wantJournal(t, journal, "do agent", "do file", "do service", "rollback service", "rollback file", "settle service", "rollback agent")
}

// TestWhatCannotBeToldIsUnknown: neither is it called done, nor does setup end with it.
func TestWhatCannotBeToldIsUnknown(t *testing.T) {
	agent, _, _, journal := fakeNode()
	agent.idle, agent.fail["detail"] = true, errBroken
	want := Status{"agent", Unknown, "could not be checked: broken"}
	if got := Inspect(t.Context(), []Step{agent}); !slices.Equal(got, []Status{want}) {
		t.Errorf("got %+v", got)
	}
	said := ""
	changed, err := Setup(t.Context(), []Step{agent}, func(format string, args ...any) { said += fmt.Sprintf(format, args...) })
	if changed || err != nil || said != "agent: could not be checked: broken" {
		t.Errorf("got %t, %v, said %q", changed, err, said)
	}
	wantJournal(t, journal)
}
