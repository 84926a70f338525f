package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ndock/registry/htpasswd"
)

// Logins are where a registry's logins are kept. A registry that serves reads them again when they change.
type Logins interface {
	read(ctx context.Context) ([]byte, error)
	write(ctx context.Context, text []byte) error
}

// AddLogin lets a user in with this password, and no longer with another one.
func AddLogin(ctx context.Context, at Logins, user, password string, report Reporter) error {
	op := fmt.Sprintf("add login %q", user)
	text, err := at.read(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	edited, err := withLogin(text, user, password)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	case bytes.Equal(edited, text):
		report.Step("%s has this password already; nothing to do", user)
		return nil
	}
	if err := at.write(ctx, edited); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	report.Step("%s may log in", user)
	return nil
}

// RemoveLogin lets a user in no more. The last one stays: a registry must not be left that nobody, or anybody, gets into.
func RemoveLogin(ctx context.Context, at Logins, user string, report Reporter) error {
	op := fmt.Sprintf("remove login %q", user)
	text, err := at.read(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	edited := htpasswd.Without(text, user)
	switch {
	case bytes.Equal(edited, text):
		report.Step("%s cannot log in; nothing to do", user)
		return nil
	case len(htpasswd.Users(edited)) == 0:
		return &Error{Op: op, Err: errors.New("it is the last one"), hint: "add another one first; or 'ndock registry remove', which keeps what was pushed, and deploy it anew"}
	}
	if err := at.write(ctx, edited); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	report.Step("%s may no longer log in", user)
	return nil
}

// withLogin sets a login, unless it is there.
func withLogin(text []byte, user, password string) ([]byte, error) {
	logins, err := htpasswd.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the logins that are there: %w", err)
	}
	for _, one := range logins {
		if one.Is(user, password) {
			return text, nil
		}
	}
	made, err := htpasswd.New(user, password)
	if err != nil {
		return nil, err
	}
	return htpasswd.Set(text, made), nil
}

// LoginFile is a file of logins; it is made if it is missing.
func LoginFile(name string) Logins { return loginFile(name) }

type loginFile string

func (l loginFile) read(context.Context) ([]byte, error) {
	text, err := os.ReadFile(string(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// write replaces the file by another one of the same owner, which root alone can read where there was none.
func (l loginFile) write(_ context.Context, text []byte) error {
	name, err := filepath.EvalSymlinks(string(l))
	if errors.Is(err, fs.ErrNotExist) {
		name, err = string(l), nil
	}
	if err != nil {
		return err
	}
	return replaceFile(name, text, func(next *os.File) error { return likeness(next, name) })
}
