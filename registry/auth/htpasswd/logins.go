package htpasswd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"ndock/registry"
	"ndock/registry/internal/atomicfile"
)

// Logins are where the logins of a registry are kept. A running registry reads them again when they change.
type Logins interface {
	Read(ctx context.Context) ([]byte, error)
	Write(ctx context.Context, text []byte) error
}

// AddLogin lets a user in with this password, and with no other one.
func AddLogin(ctx context.Context, at Logins, user, password string, report registry.Reporter) error {
	op := fmt.Sprintf("add login %q", user)
	text, err := at.Read(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	edited, err := WithLogin(text, user, password)
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", op, err)
	case bytes.Equal(edited, text):
		report.Step("%s has this password already; nothing to do", user)
		return nil
	}
	if err := at.Write(ctx, edited); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	report.Step("%s may log in", user)
	return nil
}

// RemoveLogin locks a user out. It refuses to remove the last login, after which nobody, or anybody, could log in.
func RemoveLogin(ctx context.Context, at Logins, user string, report registry.Reporter) error {
	op := fmt.Sprintf("remove login %q", user)
	text, err := at.Read(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	edited := Without(text, user)
	switch {
	case bytes.Equal(edited, text):
		report.Step("%s cannot log in; nothing to do", user)
		return nil
	case len(Users(edited)) == 0:
		return &registry.Error{Op: op, Err: errors.New("it is the last one"), Help: "add another one first; or 'ndock registry remove', which keeps what was pushed, and deploy it anew"}
	}
	if err := at.Write(ctx, edited); err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	report.Step("%s may no longer log in", user)
	return nil
}

// WithLogin returns the text with a login; unchanged if it is there already.
func WithLogin(text []byte, user, password string) ([]byte, error) {
	logins, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("read the logins that are there: %w", err)
	}
	for _, one := range logins {
		if one.Is(user, password) {
			return text, nil
		}
	}
	made, err := New(user, password)
	if err != nil {
		return nil, err
	}
	return Set(text, made), nil
}

// File returns the logins in a file, which is made when the first one is added.
func File(name string) Logins { return file(name) }

type file string

// Read implements Logins. There are no logins where there is no file.
func (l file) Read(context.Context) ([]byte, error) {
	text, err := os.ReadFile(string(l))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// Write implements Logins. It replaces the file by another one of the same owner, which root alone can read where there was none.
func (l file) Write(_ context.Context, text []byte) error {
	name, err := filepath.EvalSymlinks(string(l))
	if errors.Is(err, fs.ErrNotExist) {
		name, err = string(l), nil
	}
	if err != nil {
		return err
	}
	return atomicfile.Write(name, text, func(next *os.File) error { return atomicfile.CopyOwner(next, name) })
}
