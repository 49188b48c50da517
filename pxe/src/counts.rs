//! Counters by reason, cheap enough for every packet.

/// Makes a struct of counters that can be read as pairs of name and value.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: std::sync::atomic::AtomicU64,)+
        }

        impl $name {
            /// Every counter by its name, in a fixed order.
            pub fn pairs(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($field), self.$field.load(std::sync::atomic::Ordering::Relaxed)),)+]
            }
        }
    };
}

pub(crate) use counters;

/// Adds one.
pub(crate) fn one(counter: &std::sync::atomic::AtomicU64) {
    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
}
