//! The use cases of Samplit: assign, convert, learn, report, prove. No HTTP, no SQL.
