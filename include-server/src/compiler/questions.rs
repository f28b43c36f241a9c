//! Questions that real code asks: they are put to a compiler together with the first one, so that it need not be started
//! again for them.
//!
//! They are those of common libraries' headers (glibc, libstdc++, abseil, Boost, Qt, LLVM, Linux). A question that is not
//! here costs one more start, one that is here in vain some microseconds.

use crate::configuration::{Language, Question};

/// What is asked of a compiler for `language` in any case.
pub(super) fn common(language: Language) -> Vec<Question> {
    let attributes = match language {
        // To gcc these are no macros in assembler.
        Language::AsmWithCpp => return Vec::new(),
        language if language.is_cxx() => ("__has_cpp_attribute", CXX_ATTRIBUTES),
        _ => ("__has_c_attribute", C_ATTRIBUTES),
    };
    let kinds = [
        attributes,
        ("__has_attribute", ATTRIBUTES),
        ("__has_builtin", BUILTINS),
        ("__has_feature", FEATURES),
        ("__has_extension", EXTENSIONS),
        ("__is_identifier", IDENTIFIERS),
        ("__building_module", MODULES),
    ];
    let calls = kinds.iter().flat_map(|(kind, names)| {
        names
            .split_whitespace()
            .map(move |name| Question::Call(format!("{kind}({name})").into_bytes()))
    });
    calls.collect()
}

const ATTRIBUTES: &str = "\
    __alloc_align__ __alloc_size__ __always_inline__ __artificial__ __assume_aligned__ __cold__ __const__ __copy__ \
    __deprecated__ __designated_init__ __diagnose_as_builtin__ __error__ __externally_visible__ __fallthrough__ \
    __format__ __format_arg__ __leaf__ __malloc__ __may_alias__ __no_caller_saved_registers__ \
    __no_profile_instrument_function__ __no_sanitize_coverage__ __no_sanitize_thread__ __no_sanitize_undefined__ \
    __noclone__ __noinline__ __nonnull__ __nonstring__ __nothrow__ __overloadable__ __packed__ __pass_object_size__ \
    __pure__ __returns_nonnull__ __sentinel__ __uninitialized__ __unused__ __used__ __warn_unused_result__ \
    __warning__ acquired_after acquired_before aligned alloc_size always_inline assert_exclusive_lock \
    assert_shared_lock btf_type_tag cold const deprecated disable_sanitizer_instrumentation disable_tail_calls \
    enable_if exclusive_lock_function exclusive_locks_required exclusive_trylock_function fallthrough \
    force_align_arg_pointer format guarded_by hot lifetimebound lock_returned lockable locks_excluded minsize \
    no_profile_instrument_function no_sanitize no_sanitize_address no_sanitize_memory no_sanitize_thread \
    no_sanitize_undefined no_thread_safety_analysis nodebug noinline noipa nonnull noreturn \
    objc_designated_initializer objc_root_class packed preferred_type pt_guarded_by pure returns_nonnull \
    scoped_lockable section shared_lock_function shared_locks_required shared_trylock_function target tls_model \
    unlock_function unused used vector_size visibility warn_unused_result weak";

const BUILTINS: &str = "\
    __array_extent __array_rank __atomic_load_n __builtin_FILE __builtin_FUNCSIG __builtin_FUNCTION __builtin_LINE \
    __builtin_add_overflow __builtin_assume __builtin_assume_aligned __builtin_bit_cast __builtin_bitreverse16 \
    __builtin_bitreverse32 __builtin_bitreverse64 __builtin_bitreverse8 __builtin_bswap16 __builtin_bswap32 \
    __builtin_bswap64 __builtin_btf_type_id __builtin_clz __builtin_clzg __builtin_clzll __builtin_clzs \
    __builtin_constant_p __builtin_coro_noop __builtin_ctz __builtin_ctzg __builtin_ctzll __builtin_ctzs \
    __builtin_debugtrap __builtin_expect __builtin_fclose __builtin_ia32_pause __builtin_is_constant_evaluated \
    __builtin_isdigit __builtin_launder __builtin_memcmp __builtin_memcpy __builtin_memcpy_inline __builtin_memset \
    __builtin_memset_inline __builtin_mul_overflow __builtin_mul_overflow_p __builtin_operator_new \
    __builtin_popcount __builtin_popcountg __builtin_popcountl __builtin_popcountll __builtin_prefetch \
    __builtin_preserve_enum_value __builtin_preserve_type_info __builtin_rotateleft32 __builtin_rotateleft64 \
    __builtin_sprintf __builtin_strlen __builtin_sub_overflow __builtin_trap __builtin_unreachable \
    __has_unique_object_representations __is_aggregate __is_compound __is_destructible __is_fundamental \
    __is_lvalue_reference __is_nothrow_convertible __is_pointer __is_same __is_scalar __is_signed \
    __is_trivially_destructible __is_trivially_equality_comparable __is_unsigned __make_integer_seq \
    __remove_all_extents __type_pack_element";

const FEATURES: &str = "\
    __cxx_generic_lambdas__ __cxx_noexcept__ __cxx_return_type_deduction__ __cxx_variable_templates__ \
    address_sanitizer attribute_analyzer_noreturn attribute_deprecated_with_message blocks c_static_assert \
    coverage_sanitizer cxx_abi_relative_vtable cxx_alias_templates cxx_alignas cxx_attributes cxx_auto_type \
    cxx_constexpr cxx_decltype cxx_decltype_incomplete_return_types cxx_default_function_template_args \
    cxx_defaulted_functions cxx_deleted_functions cxx_exceptions cxx_explicit_conversions \
    cxx_generalized_initializers cxx_inheriting_constructors cxx_inline_namespaces cxx_lambdas \
    cxx_local_type_template_args cxx_noexcept cxx_nullptr cxx_override_control cxx_range_for cxx_raw_string_literals \
    cxx_reference_qualified_functions cxx_rtti cxx_rvalue_references cxx_static_assert cxx_strong_enums \
    cxx_thread_local cxx_trailing_return cxx_unicode_literals cxx_unrestricted_unions cxx_user_literals \
    cxx_variable_templates cxx_variadic_templates has_nothrow_constructor has_nothrow_copy has_trivial_assign \
    has_trivial_constructor has_trivial_copy has_trivial_destructor has_virtual_destructor hwaddress_sanitizer \
    is_convertible_to is_empty is_enum is_final is_pod is_trivially_copyable is_union kcfi leak_sanitizer \
    memory_sanitizer modules nullability objc_arc ptrauth_calls ptrauth_intrinsics \
    ptrauth_type_info_vtable_pointer_discrimination thread_sanitizer undefined_behavior_sanitizer";

const EXTENSIONS: &str = "\
    __attribute_deprecated_with_message__ attribute_deprecated_with_message c_atomic c_generic_selections \
    c_static_assert datasizeof gnu_asm";

const C_ATTRIBUTES: &str = "\
    __deprecated__ __fallthrough__ __maybe_unused__ __nodiscard__ noreturn";

const CXX_ATTRIBUTES: &str = "\
    __no_unique_address__ clang::fallthrough clang::lifetimebound clang::musttail clang::no_destroy \
    clang::reinitializes clang::require_constant_initialization clang::standalone_debug \
    clang::xray_always_instrument clang::xray_log_args deprecated fallthrough gnu::fallthrough gnu::pure \
    gnu::visibility gsl::Owner gsl::Pointer maybe_unused no_unique_address nodiscard noreturn";

const IDENTIFIERS: &str = "\
    __builtin_launder __has_unique_object_representations __is_aggregate __is_same";

const MODULES: &str = "\
    _Builtin_intrinsics _Builtin_stddef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_question_is_asked_twice() {
        for language in [Language::C, Language::Cxx] {
            let questions = common(language);
            let different: std::collections::HashSet<_> = questions.iter().collect();
            assert_eq!(different.len(), questions.len());
            assert!(questions.len() > 200);
        }
    }
}
