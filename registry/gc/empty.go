package gc

import "path"

// branches are the directories above where a walk is, and the empty ones that it has passed: those with no file in them or below.
type branches struct {
	open  []branch
	empty []string // the uppermost ones
}

type branch struct {
	dir   string
	used  bool     // there is a file in it or below, or it is recent
	empty []string // directories in it
}

// walkedFrom returns the branches of a walk, whose first directory is never empty.
func walkedFrom(dir string) *branches {
	return &branches{open: []branch{{dir: dir, used: true}}}
}

// directory comes before what is in it.
func (b *branches) directory(dir string, recent bool) {
	b.leave(path.Dir(dir))
	b.open = append(b.open, branch{dir: dir, used: recent})
}

func (b *branches) file(file string) {
	b.leave(path.Dir(file))
	b.open[len(b.open)-1].used = true
}

// end returns the empty directories when the walk is over.
func (b *branches) end() []string {
	b.leave(b.open[0].dir)
	return append(b.empty, b.open[0].empty...)
}

// leave ends the directories that do not lead to this one.
func (b *branches) leave(to string) {
	for last := len(b.open) - 1; last > 0 && b.open[last].dir != to; last-- {
		left, above := b.open[last], &b.open[last-1]
		b.open = b.open[:last]
		if !left.used {
			above.empty = append(above.empty, left.dir)
			continue
		}
		above.used = true
		b.empty = append(b.empty, left.empty...)
	}
}
