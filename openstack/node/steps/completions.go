package steps

import (
	"context"
	"fmt"

	"ndock/openstack/node/system"
)

// completions is the step that installs ndock's man page and its completions for shells.
type completions struct {
	Machine
	did system.Changes // of this run
}

func (s *completions) Title() string { return "completions" }

// missing returns the files that are not as they should be.
func (s *completions) missing() ([]system.File, error) {
	var missing []system.File
	for _, f := range s.Completions {
		ok, err := system.Holds(s.Layout.Path(f.Path), f.Content, f.Mode)
		if err != nil {
			return nil, err
		}
		if !ok {
			missing = append(missing, f)
		}
	}
	return missing, nil
}

func (s *completions) Plan(context.Context) ([]string, error) {
	missing, err := s.missing()
	var plan []string
	for _, f := range missing {
		plan = append(plan, "write "+s.Layout.Path(f.Path))
	}
	return plan, err
}

func (s *completions) Do(context.Context) error {
	missing, err := s.missing()
	if err != nil {
		return err
	}
	if err := s.record().Claim(&s.did, missing); err != nil {
		return err
	}
	for _, f := range missing {
		if err := s.did.Write(s.Layout.Path(f.Path), f.Content, f.Mode); err != nil {
			return err
		}
	}
	return nil
}

// Rollback restores the files of before.
func (s *completions) Rollback(context.Context) ([]string, error) {
	if !s.did.Any() {
		return nil, nil
	}
	return []string{"took back what was written"}, s.did.Rollback()
}

// Teardown removes what setup made and nobody has changed since.
func (s *completions) Teardown(context.Context) ([]string, error) { return s.record().RemoveClaimed() }

func (s *completions) Detail(context.Context) (string, error) {
	return fmt.Sprintf("the man page and the shells' completions are those of this release (%d files)", len(s.Completions)), nil
}
