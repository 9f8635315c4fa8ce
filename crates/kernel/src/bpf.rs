//! An assembler for the classic BPF programs that seccomp runs (`bpf(4)` of the BSDs, `linux/filter.h`).
//!
//! A conditional jump reaches 255 instructions, an unconditional one any number; so every conditional here skips over
//! one unconditional jump, and no program is too long for its jumps. Jumps go forward only, as the kernel demands.

/// One instruction, as the kernel reads it (`struct sock_filter`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub on_true: u8,
    /// Instructions to skip when it does not.
    pub on_false: u8,
    /// Its operand.
    pub value: u32,
}

pub(crate) const LOAD: u16 = 0x20;
pub(crate) const AND: u16 = 0x54;
pub(crate) const JUMP: u16 = 0x05;
pub(crate) const IF_EQUAL: u16 = 0x15;
pub(crate) const IF_AT_LEAST: u16 = 0x35;
pub(crate) const IF_ANY_BIT: u16 = 0x45;
pub(crate) const RETURN: u16 = 0x06;

/// A place in the program that jumps lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(usize);

/// A program under construction.
#[derive(Debug, Default)]
pub struct Assembler {
    program: Vec<Instruction>,
    /// Where each label stands, once it does.
    labels: Vec<Option<usize>>,
    /// Unconditional jumps, by position, and where they lead.
    jumps: Vec<(usize, Label)>,
}

/// A program that cannot be: a label that stands nowhere or behind its jump, or more than 4096 instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a BPF program: a jump leads nowhere or back, or it is too long")]
pub struct NotAProgram;

impl Assembler {
    /// A new label, which stands nowhere yet.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Puts the label before the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.program.len());
    }

    /// Loads the 32-bit word at this offset of the data into the accumulator.
    pub fn load(&mut self, offset: u32) {
        self.push(LOAD, 0, 0, offset);
    }

    /// Keeps only these bits of the accumulator.
    pub fn and(&mut self, mask: u32) {
        self.push(AND, 0, 0, mask);
    }

    /// Goes to the label when the accumulator equals the value.
    pub fn if_equal(&mut self, value: u32, to: Label) {
        self.branch(IF_EQUAL, value, to);
    }

    /// Goes to the label when the accumulator is at least the value, unsigned.
    pub fn if_at_least(&mut self, value: u32, to: Label) {
        self.branch(IF_AT_LEAST, value, to);
    }

    /// Goes to the label when the accumulator has any of these bits.
    pub fn if_any_bit(&mut self, mask: u32, to: Label) {
        self.branch(IF_ANY_BIT, mask, to);
    }

    /// Goes to the label.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.program.len(), to));
        self.push(JUMP, 0, 0, 0);
    }

    /// Ends with this value.
    pub fn give(&mut self, value: u32) {
        self.push(RETURN, 0, 0, value);
    }

    fn branch(&mut self, code: u16, value: u32, to: Label) {
        self.push(code, 0, 1, value);
        self.jump(to);
    }

    fn push(&mut self, code: u16, on_true: u8, on_false: u8, value: u32) {
        self.program.push(Instruction { code, on_true, on_false, value });
    }

    /// The finished program.
    pub fn finish(mut self) -> Result<Vec<Instruction>, NotAProgram> {
        for &(at, to) in &self.jumps {
            let target = self.labels.get(to.0).copied().flatten().ok_or(NotAProgram)?;
            let distance = target.checked_sub(at + 1).ok_or(NotAProgram)?;
            self.program[at].value = u32::try_from(distance).map_err(|_| NotAProgram)?;
        }
        if self.program.len() > 4096 { Err(NotAProgram) } else { Ok(self.program) }
    }
}

/// Runs a program over data as the kernel would, for tests and for explaining; `None` when it runs out of bounds.
pub fn interpret(program: &[Instruction], data: &[u8]) -> Option<u32> {
    let (mut at, mut accumulator) = (0, 0u32);
    loop {
        let Instruction { code, on_true, on_false, value } = *program.get(at)?;
        let branch = |holds: bool| usize::from(if holds { on_true } else { on_false });
        at += 1;
        match code {
            LOAD => {
                let from = usize::try_from(value).ok()?;
                accumulator = u32::from_ne_bytes(data.get(from..from.checked_add(4)?)?.try_into().ok()?);
            }
            AND => accumulator &= value,
            JUMP => at += usize::try_from(value).ok()?,
            IF_EQUAL => at += branch(accumulator == value),
            IF_AT_LEAST => at += branch(accumulator >= value),
            IF_ANY_BIT => at += branch(accumulator & value != 0),
            RETURN => return Some(value),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_over_more_than_255_instructions_arrives() {
        let mut a = Assembler::default();
        let far = a.label();
        a.load(0);
        a.if_equal(7, far);
        for _ in 0..1000 {
            a.give(1);
        }
        a.place(far);
        a.give(2);
        let program = a.finish().unwrap();
        assert_eq!(interpret(&program, &7u32.to_ne_bytes()), Some(2));
        assert_eq!(interpret(&program, &8u32.to_ne_bytes()), Some(1));
        assert_eq!(interpret(&program, &[0; 3]), None);
    }

    #[test]
    fn a_label_that_stands_nowhere_or_behind_is_no_program() {
        let mut nowhere = Assembler::default();
        let label = nowhere.label();
        nowhere.jump(label);
        assert_eq!(nowhere.finish(), Err(NotAProgram));
        let mut back = Assembler::default();
        let label = back.label();
        back.place(label);
        back.jump(label);
        assert_eq!(back.finish(), Err(NotAProgram));
    }
}
