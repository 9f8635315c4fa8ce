//! Copying memory, where the C library's own way is slow.
//!
//! musl copies on x86-64 with `rep movsq` at every size, which costs some thirty cycles before the first byte moves. A
//! warden copies mostly small pieces (headers, JSON, TLS records) and spent a third of its time there, so a static
//! binary against musl takes these two functions instead. Against any other C library they are built and tested, and
//! the library's own are used. The alternative, to ship against static glibc, was rejected: it brings name service
//! switching and `dlopen` into a binary that promises none (`docs/decisions/0008`).
//!
//! Up to 128 bytes everything is read before anything is written, with reads that overlap in the middle, so that there
//! is no loop. Above, 64 bytes a turn; from 2 KiB on `rep movsb`, which processors with ERMS (2012 and later) run at full
//! width. Both functions allow overlap.

use std::arch::global_asm;

global_asm!(
    r#"
    .pushsection .text.creel_memmove,"ax",@progbits
    .p2align 6
    .globl creel_memmove
    .hidden creel_memmove
    .type creel_memmove, @function
creel_memmove:
    .cfi_startproc
    mov rax, rdi
    cmp rdx, 16
    jb 30f
    movups xmm0, [rsi]
    movups xmm1, [rsi + rdx - 16]
    cmp rdx, 32
    ja 10f
    movups [rdi], xmm0
    movups [rdi + rdx - 16], xmm1
    ret

10: // 33 and more: a second pair.
    movups xmm2, [rsi + 16]
    movups xmm3, [rsi + rdx - 32]
    cmp rdx, 64
    ja 11f
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + rdx - 32], xmm3
    movups [rdi + rdx - 16], xmm1
    ret

11: // 65 and more: the third and the fourth pair.
    movups xmm4, [rsi + 32]
    movups xmm5, [rsi + 48]
    movups xmm6, [rsi + rdx - 64]
    movups xmm7, [rsi + rdx - 48]
    cmp rdx, 128
    ja 20f
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + 32], xmm4
    movups [rdi + 48], xmm5
    movups [rdi + rdx - 64], xmm6
    movups [rdi + rdx - 48], xmm7
    movups [rdi + rdx - 32], xmm3
    movups [rdi + rdx - 16], xmm1
    ret

20: // More than 128. The first 64 bytes are in xmm0, 2, 4, 5; the last 64 in xmm6, 7, 3, 1.
    mov rcx, rdi
    sub rcx, rsi
    cmp rcx, rdx
    jb 25f
    // The target does not begin inside the source: upwards.
    cmp rdx, 2048
    jae 24f
    lea r8, [rdi + rdx - 64]
    mov r9, r8
22:
    movups xmm8, [rsi]
    movups xmm9, [rsi + 16]
    movups xmm10, [rsi + 32]
    movups xmm11, [rsi + 48]
    movups [rdi], xmm8
    movups [rdi + 16], xmm9
    movups [rdi + 32], xmm10
    movups [rdi + 48], xmm11
    add rsi, 64
    add rdi, 64
    cmp rdi, r8
    jb 22b
    movups [r9], xmm6
    movups [r9 + 16], xmm7
    movups [r9 + 32], xmm3
    movups [r9 + 48], xmm1
    ret

24:
    mov rcx, rdx
    rep movsb
    ret

25: // The target begins inside the source: downwards.
    lea rsi, [rsi + rdx - 64]
    lea r8, [rdi + rdx - 64]
26:
    movups xmm8, [rsi]
    movups xmm9, [rsi + 16]
    movups xmm10, [rsi + 32]
    movups xmm11, [rsi + 48]
    movups [r8], xmm8
    movups [r8 + 16], xmm9
    movups [r8 + 32], xmm10
    movups [r8 + 48], xmm11
    sub rsi, 64
    sub r8, 64
    cmp r8, rdi
    ja 26b
    movups [rdi], xmm0
    movups [rdi + 16], xmm2
    movups [rdi + 32], xmm4
    movups [rdi + 48], xmm5
    ret

30: // Fewer than 16.
    cmp edx, 8
    jb 31f
    mov rcx, [rsi]
    mov r8, [rsi + rdx - 8]
    mov [rdi], rcx
    mov [rdi + rdx - 8], r8
    ret
31:
    cmp edx, 4
    jb 32f
    mov ecx, [rsi]
    mov r8d, [rsi + rdx - 4]
    mov [rdi], ecx
    mov [rdi + rdx - 4], r8d
    ret
32:
    cmp edx, 1
    jb 34f
    je 33f
    movzx ecx, word ptr [rsi]
    movzx r8d, word ptr [rsi + rdx - 2]
    mov [rdi], cx
    mov [rdi + rdx - 2], r8w
    ret
33:
    movzx ecx, byte ptr [rsi]
    mov [rdi], cl
34:
    ret
    .cfi_endproc
    .size creel_memmove, . - creel_memmove
    .popsection
    "#
);

#[cfg(target_env = "musl")]
global_asm!(
    r#"
    .globl memcpy
    .set memcpy, creel_memmove
    .globl memmove
    .set memmove, creel_memmove
    "#
);

#[cfg(test)]
mod tests {
    unsafe extern "C" {
        fn creel_memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8;
    }

    /// Moves `bytes` inside one buffer and compares with what the language's own copy makes of it.
    fn check(buffer: usize, from: usize, to: usize, bytes: usize) {
        let mut ours: Vec<u8> = (0..buffer).map(|at| (at * 31 + at / 251) as u8).collect();
        let mut theirs = ours.clone();
        theirs.copy_within(from..from + bytes, to);
        let start = ours.as_mut_ptr();
        // SAFETY: both ranges lie inside `ours`, which the caller made large enough; overlap is what is tested.
        let back = unsafe { creel_memmove(start.wrapping_add(to), start.wrapping_add(from), bytes) };
        assert_eq!(back, start.wrapping_add(to), "the target is the answer");
        assert!(ours == theirs, "{bytes} bytes from {from} to {to} of {buffer}");
    }

    #[test]
    fn every_small_size_moves_apart_and_over_itself() {
        for bytes in 0..=300 {
            for shift in [0, 1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 200, 299] {
                check(1024, shift, 0, bytes);
                check(1024, 0, shift, bytes);
                check(1024, 5, 6 + shift, bytes);
            }
        }
    }

    #[test]
    fn large_sizes_move_apart_and_over_themselves() {
        for bytes in [511, 1023, 1024, 2047, 2048, 2049, 4096, 16_384, 65_537, 1 << 20] {
            for shift in [0, 1, 15, 16, 63, 64, 65, 1000, 4096] {
                check(bytes + 5000, shift, 0, bytes);
                check(bytes + 5000, 0, shift, bytes);
                check(bytes + 5000, 3, 3 + shift, bytes);
            }
        }
    }

    mod at_random {
        use proptest::prelude::*;

        proptest! {
            #[test]
            fn any_move_is_right(bytes in 0usize..5000, from in 0usize..3000, to in 0usize..3000) {
                super::check(8192, from, to, bytes);
            }
        }
    }
}
